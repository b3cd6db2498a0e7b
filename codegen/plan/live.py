"""Which bytes of the arena are in use during which step of a Plan's program."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from driftc.codegen.plan.buffer import CONSTANTS, STATE, Buffer
from driftc.codegen.plan.call import static_calls
from driftc.codegen.plan.plan import Plan


@dataclass(frozen=True, eq=False)
class Life:
    """`buffer` holds what is needed from step `first` to step `last` of the program, both included.

    Step -1 is before the first statement, where the caller writes the inputs; the number of statements is after the
    last, where it reads the outputs.
    """

    buffer: Buffer
    first: int
    last: int


def lives(plan: Plan) -> list[Life]:
    """Each storage once, in order of first use; views of it count as its own use."""
    first: dict[str, Life] = {}
    last: dict[str, int] = {}

    def touch(buffer: Buffer, step: int) -> None:
        buffer = buffer.storage
        if buffer.region in (CONSTANTS, STATE):
            return
        name = plan.views.get(buffer.name, buffer.name)
        first.setdefault(name, Life(buffer, step, step))
        last[name] = step

    for _, buffer in plan.given:
        touch(buffer, -1)
    for step, statement in enumerate(plan.program):
        for call in static_calls((statement,)):
            for buffer in call.buffers:
                touch(buffer, step)
    for buffer in (*plan.outputs, *plan.held):
        touch(buffer, len(plan.program))
    return [Life(life.buffer, life.first, last[name]) for name, life in first.items()]


def live(plan: Plan) -> list[list[Buffer]]:
    """The buffers in use during each statement of the program, largest first."""
    known = lives(plan)
    return [
        sorted((life.buffer for life in known if life.first <= step <= life.last), key=lambda buffer: -buffer.bytes)
        for step in range(len(plan.program))
    ]


def occupied(buffers: Iterable[Buffer]) -> int:
    """Bytes of RAM that `buffers` cover, shared bytes counted once."""
    total = 0
    reached: dict[str, int] = {}
    for buffer in sorted(buffers, key=lambda buffer: buffer.offset):
        start = max(buffer.offset, reached.get(buffer.region, 0))
        end = max(buffer.offset + buffer.bytes, start)
        total += end - start
        reached[buffer.region] = end
    return total
