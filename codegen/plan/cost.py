"""About how many instructions programs and units take, so that the search can tell dear plans from cheap ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from driftc.codegen.plan.plan import Loop, Statement
from driftc.codegen.plan.unit import Unit, drafted


def instructions(program: Iterable[Statement]) -> float:
    """Of all that `program` runs, each loop as often as it turns."""
    total = 0.0
    for statement in program:
        if isinstance(statement, Loop):
            turns = len(range(statement.start, statement.stop, statement.step))
            total += turns * (instructions(statement.body) + 3)
        else:
            total += statement.kernel.cost(statement)
    return total


def of_unit(unit: Unit, views: Mapping[str, str]) -> float:
    """Of all that `unit` runs, wherever it lies."""
    return instructions(drafted(unit, views))
