"""The Plan of a step of learning within so many bytes: what is kept, what is computed again, and what is cut."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from driftc.codegen.emit.function import functions
from driftc.codegen.errors import FitError
from driftc.codegen.graph import Graph
from driftc.codegen.learning.recompute import Way, Ways
from driftc.codegen.learning.tape import Tape
from driftc.codegen.names import Names, readable
from driftc.codegen.plan.choose import BEYOND, Goal, choose
from driftc.codegen.plan.cost import cycles, instructions
from driftc.codegen.plan.plan import Plan
from driftc.codegen.plan.propose import arrange, untiled
from driftc.codegen.plan.search import Roads
from driftc.codegen.tensor import Array

WAYS = 12  # of those that are known, so many are placed
LAST = 2  # of them, always
NEAR = 1.01  # times the fewest cycles


@dataclass(frozen=True)
class Again:
    """A layer that a step computes `times` more than once, and about what that takes in all."""

    layer: str
    operator: str  # what of it
    times: int
    instructions: float


@dataclass(frozen=True, eq=False)
class StepPlan:
    """`plan` is within `limit` where that is `met`, else the one of the fewest bytes that was found."""

    plan: Plan
    limit: int | None = None  # bytes of the arena
    met: bool = True
    plain_bytes: int = 0  # where nothing is computed again
    extra: float = 0.0  # instructions beyond those of that, as a share of them
    again: tuple[Again, ...] = ()

    def check(self, source: str, option: str) -> None:
        """Raise FitError where the limit that `option` gave is not met."""
        if self.met:
            return
        least, others = self.plan.arena_bytes, " and others" if len(self.again) > 4 else ""
        what = ", ".join(f"{each.operator} '{readable(each.layer)}'" for each in self.again[:4])
        how = f"with {what}{others} computed again ({self.plain_bytes:,} B without)" if what else "as it is"
        raise FitError(
            f"{source}: {option} {self.limit} cannot be met: the least that was found for a step of learning is "
            f"{least:,} B, {how}; {option} {least} can be met"
        )


def plan_step(step: Graph, planner: str, core: str, limit: int | None = None) -> StepPlan:
    """The fewest cycles within `limit` bytes of the arena; without one, the fewest of all.

    Only values that are kept from before the loss are given up for that, and operators that can be are computed in
    parts: what is learnt is the same in every byte.
    """
    plain = _placed(step, planner, core, None)
    if limit is None or plain.arena_bytes <= limit:
        return StepPlan(plain, limit, plain_bytes=plain.arena_bytes)
    tape = Tape(step, core)
    least = fastest = cycles(plain.program, core)
    best, again = plain, list[int]()
    for way in _near(Ways(tape).front(), limit):
        met = best.arena_bytes <= limit
        if met and least + way.cost.cycles >= fastest:
            break
        entries = tape.entries(way.keeping)
        assert entries is not None
        plan = _one_array_each(tape.graph_of(entries), planner, core, limit, least + way.cost.cycles)
        taken = cycles(plan.program, core)
        fits = plan.arena_bytes <= limit
        if (fits and (not met or taken < fastest)) or (not met and plan.arena_bytes < best.arena_bytes):
            best, fastest, again = plan, taken, tape.again(entries)
    times = Counter(again)
    alone = {piece.operators: instructions(best.program[piece.first : piece.stop]) for piece in best.pieces[::-1]}

    def taken_by(at: int) -> float:
        return alone.get((tape.operators[at].name,), tape.instructions[at])

    told = tuple(
        Again(op.label or op.name, op.kind, count, count * taken_by(at))
        for at, op, count in sorted((at, tape.operators[at], count) for at, count in times.items())
    )
    usual = instructions(plain.program)
    extra = instructions(best.program) / usual - 1
    return StepPlan(best, limit, best.arena_bytes <= limit, plain.arena_bytes, extra, told)


def _near(ways: list[Way], limit: int) -> list[Way]:
    """Those that may be brought within `limit`, and the last ones; of many some between."""
    ways = [*(way for way in ways[:-LAST] if way.cost.peak <= BEYOND * limit), *ways[-LAST:]]
    if len(ways) <= WAYS:
        return ways
    return [ways[n] for n in np.unique(np.linspace(0, len(ways) - 1, WAYS).astype(int))]


def _placed(graph: Graph, planner: str, core: str, limit: int | None) -> Plan:
    goal = Goal(limit, limit is not None, "instructions", 0.0)
    return choose(graph, planner, goal, [], core).point.plan


def _within(graph: Graph, planner: str, core: str, limit: int, quickest: float) -> Plan:
    """Placed; `quickest` are the cycles that it takes by the fastest kernels, whose scratch leaves gaps."""
    plan = _placed(graph, planner, core, limit)
    if plan.arena_bytes > limit or cycles(plan.program, core) <= quickest * NEAR:
        return plan
    roads = Roads(graph, untiled(graph), (), core)
    units = list(roads.order)
    if arrange(graph, units, "greedy").arena_bytes > limit:
        return plan
    usual = [edges[0].cycles for edges in roads.edges]
    for place, edges in sorted(
        enumerate(roads.edges), key=lambda pair: min(e.cycles for e in pair[1]) - usual[pair[0]]
    ):
        for edge in sorted(edges[1:], key=lambda edge: edge.cycles):
            assert edge.unit is not None
            changed = [*units[:place], edge.unit, *units[place + 1 :]]
            if edge.cycles < usual[place] and arrange(graph, changed, "greedy").arena_bytes <= limit:
                units = changed
                break
    quicker = arrange(graph, units, "greedy")
    return min((plan, quicker), key=lambda each: cycles(each.program, core))


def _one_array_each(graph: Graph, planner: str, core: str, limit: int, quickest: float) -> Plan:
    """Placed, operators that run again having the functions and arrays of the first time where the kernels allow it."""
    plan = _within(graph, planner, core, limit, quickest)
    found: dict[str, Array] = {}
    for function in functions(plan):
        for key, data in function.constants.items():
            known = found.setdefault(f"{function.op.name}_{key}", data)
            if known is not data and not np.array_equal(known, data):
                return _within(_apart(graph), planner, core, limit, quickest)
    return plan


def _apart(graph: Graph) -> Graph:
    """The operators under names of their own."""
    names = Names()
    return graph.with_operators([replace(operator, name=names.unique(operator.name)) for operator in graph.operators])
