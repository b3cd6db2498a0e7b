"""About how long programs and units take, so that the search can tell dear plans from cheap ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from driftc.boards.cores import load_core
from driftc.boards.timing import Mix, pace
from driftc.codegen.plan.call import Call, Loop, Statement
from driftc.codegen.plan.select import by_operator, weight
from driftc.codegen.plan.unit import Unit, drafted

TURN = 3.0  # instructions of a loop's turn, besides its body
TURNS = Mix.of(taken=0.33)


def instructions(program: Iterable[Statement]) -> float:
    """Of all that `program` runs, each loop as often as it turns."""
    return _total(program, lambda call: call.kernel.cost(call), TURN)


def cycles(program: Iterable[Statement], core: str | None) -> float:
    """The same by what `core` takes for such instructions; where nothing is known of it, or for None, one each."""
    timing = load_core(core).timing if core is not None else None
    return _total(program, lambda call: call.kernel.cycles(call, timing), TURN * pace(timing, TURNS))


def of_unit(unit: Unit, views: Mapping[str, str], core: str | None = None) -> float:
    """What units are compared by: cycles of all that `unit` runs, and what its kernels must save (select.py)."""
    timing = load_core(core).timing if core is not None else None
    return sum(weight(kinds[0][0].kernel, kinds, timing) for kinds in by_operator(drafted(unit, views)).values())


def _total(program: Iterable[Statement], of: Callable[[Call], float], turn: float) -> float:
    total = 0.0
    for statement in program:
        if isinstance(statement, Loop):
            turns = len(range(statement.start, statement.stop, statement.step))
            total += turns * (_total(statement.body, of, turn) + turn)
        else:
            total += of(statement)
    return total
