"""What small models were taught, as tests ask for it: events, what is decided after them, and the same on an engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from learning_models import samples

from driftc.codegen.compiled import Compiled
from driftc.simulator.engines import engine
from driftc.simulator.learning import Event, Kind, Specification, every_event, verify_learning

STRICT = ("-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")


def events(count: int, classes: int, first: int) -> list[Event]:
    given = samples(count, classes, first=first)
    return [Event(Kind.ADD, int(y), (x.reshape(1, 8),)) for x, y in zip(given["x"], given["y"], strict=True)]


def accuracy(specification: Specification, classes: int, first: int) -> float:
    given = samples(40, classes, seed=77, first=first)
    decided = [int(np.argmax(specification(Event(Kind.INFER, 0, (x.reshape(1, 8),))).outputs[0])) for x in given["x"]]
    return float(np.mean(np.array(decided) == given["y"]))


def compared(found: Compiled, name: str, **options: Any) -> int:
    """The events that were compared; fails at the first byte that differs."""
    chosen = engine(name, **options)
    program = found.program()
    if absent := chosen.missing_for(program.target.core):
        pytest.skip(f"engine {name}: {absent}")
    events = every_event(found.lowered, found.samples(random=3))
    count, difference = verify_learning(found.lowered, program, [chosen], events)
    assert difference is None, str(difference)
    return count
