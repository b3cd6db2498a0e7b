"""The smallest arena there is, proven: codegen/plan/place.py's problem as integer constraints, by OR-Tools' CP-SAT.

One worker, a fixed seed and limits in the solver's own deterministic time, so that every machine finds the same. Of
all placements that need the fewest bytes the one with the least offsets is taken, block by block in order of first
use: the proven optimum does not depend on the solver's way to it.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from driftc.codegen.errors import ToolError
from driftc.codegen.plan.place import ALIGN, Placement, Problem, greedy

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

# Deterministic seconds, which are near those of a desktop's clock: for the fewest bytes, and then for each offset.
LIMIT = 8.0
LIMIT_EACH = 0.5
APART = (
    "import pickle, sys; from driftc.codegen.plan.solve import solve; "
    "sys.stdout.buffer.write(pickle.dumps(solve(*pickle.load(sys.stdin.buffer))))"
)


def require() -> None:
    """Raise ToolError without OR-Tools."""
    if find_spec("ortools") is None:
        raise ToolError(
            "OR-Tools is missing, and without it no arena is proven the smallest: "
            'pip install "driftc[sim]", or choose --planner greedy'
        )


def solve(problem: Problem, seed: int = 0) -> Placement | None:
    """The placement that needs the fewest bytes, or the best that was found. None: the rooms are too small."""
    start = greedy(problem)
    if start is not None and start.proven:
        return start  # nothing is smaller than what is live at once
    if start is None and None in problem.rooms:
        return None
    if "tensorflow" in sys.modules and "ortools.sat.python.cp_model" not in sys.modules:
        return _solve_apart(problem, seed)
    return _Search(problem, start, seed).run()


def _solve_apart(problem: Problem, seed: int) -> Placement | None:
    """In a process of its own: both bring the same libraries, and OR-Tools crashes where TensorFlow came first."""
    done = subprocess.run([sys.executable, "-c", APART], input=pickle.dumps((problem, seed)), capture_output=True)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {done.returncode}"]
        raise ToolError(f"OR-Tools failed: {said[-1]}; --planner greedy does without it")
    found: Placement | None = pickle.loads(done.stdout)
    return found


class _Search:
    """One model, solved for the bytes and then for each block's offset; all in units of ALIGN."""

    def __init__(self, problem: Problem, start: Placement | None, seed: int) -> None:
        from ortools.sat.python import cp_model

        self.cp = cp_model
        self.problem = problem
        self.start = start
        self.seed = seed
        self.model = cp_model.CpModel()
        count = len(problem.blocks)
        most = sum(problem.size(n) for n in range(count)) if start is None else start.bytes
        limits = [most if room is None else min(most, room // ALIGN * ALIGN) for room in problem.rooms]
        self.used = [self.model.new_int_var(0, limit // ALIGN, "") for limit in limits]
        self.offset = [self.model.new_int_var(0, max(limits) // ALIGN, "") for _ in range(count)]
        # inside[n][r]: block n lies in room r; a constant where there is one room
        single = len(limits) == 1
        self.inside = [
            [self.model.new_constant(1)] if single else [self.model.new_bool_var("") for _ in limits]
            for _ in range(count)
        ]
        self._constrain()

    def _constrain(self) -> None:
        model, problem = self.model, self.problem
        bound = problem.bound() if self.start is None else self.start.bound
        model.add(sum(self.used) >= bound // ALIGN)
        for n, rooms in enumerate(self.inside):
            model.add_exactly_one(rooms)
            for room, chosen in enumerate(rooms):
                end = self.offset[n] + problem.size(n) // ALIGN
                model.add(end <= self.used[room]).only_enforce_if(chosen)
        for a, b in problem.pairs():
            below, above = model.new_bool_var(""), model.new_bool_var("")
            model.add(self.offset[a] + problem.gap(a, b) // ALIGN <= self.offset[b]).only_enforce_if(below)
            model.add(self.offset[b] + problem.gap(b, a) // ALIGN <= self.offset[a]).only_enforce_if(above)
            ways = [below, above]
            if problem.alike(a, b):
                ways.append(model.new_bool_var(""))
                model.add(self.offset[a] == self.offset[b]).only_enforce_if(ways[-1])
            for first, second in zip(self.inside[a], self.inside[b], strict=True):
                model.add_bool_or(*ways, ~first, ~second)

    def run(self) -> Placement | None:
        if self.start is not None:
            for variable, value in zip(self.offset, self.start.offsets, strict=True):
                self.model.add_hint(variable, value // ALIGN)
        self.model.minimize(sum(self.used))
        solver, status = self._solve(LIMIT)
        if status not in (self.cp.OPTIMAL, self.cp.FEASIBLE):
            return None if status == self.cp.INFEASIBLE else self.start
        bound = ALIGN * round(solver.best_objective_bound)
        best = self._placement(solver, bound)
        return self._least_offsets(best) if best.proven else best

    def _least_offsets(self, best: Placement) -> Placement:
        """The same bytes in the preferred rooms, each block as low in the first room as those before it leave it."""
        self.model.add(sum(self.used) == best.bytes // ALIGN)
        for room in reversed(range(1, len(self.used))):
            best = self._least(self.used[room], best)
            self.model.add(self.used[room] == best.sizes[room] // ALIGN)
        blocks, most = self.problem.blocks, best.bytes // ALIGN + 1
        for n in sorted(range(len(blocks)), key=lambda n: (blocks[n].first, n)):
            place = sum(room * most * chosen for room, chosen in enumerate(self.inside[n])) + self.offset[n]
            best = self._least(place, best)
            self.model.add(place == best.rooms[n] * most + best.offsets[n] // ALIGN)
        return best

    def _least(self, value: Any, best: Placement) -> Placement:
        """A placement with the least `value`, found from `best`."""
        self.model.clear_hints()  # type: ignore[no-untyped-call]
        for variable, known in zip(self.offset, best.offsets, strict=True):
            self.model.add_hint(variable, known // ALIGN)
        self.model.minimize(value)
        solver, status = self._solve(LIMIT_EACH)
        return self._placement(solver, best.bound) if status in (self.cp.OPTIMAL, self.cp.FEASIBLE) else best

    def _solve(self, limit: float) -> tuple[cp_model.CpSolver, Any]:
        solver = self.cp.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = self.seed
        solver.parameters.max_deterministic_time = limit
        return solver, solver.solve(self.model)

    def _placement(self, solver: cp_model.CpSolver, bound: int) -> Placement:
        rooms = tuple(
            next(room for room, chosen in enumerate(choice) if solver.value(chosen)) for choice in self.inside
        )
        return Placement(
            rooms,
            tuple(ALIGN * solver.value(variable) for variable in self.offset),
            tuple(ALIGN * solver.value(variable) for variable in self.used),
            bound,
        )
