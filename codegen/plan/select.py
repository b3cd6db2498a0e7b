"""Which kernel computes each operator of a unit: the cheapest that serves all its calls within some bytes of scratch.

All calls of an operator get the same kernel, so that its constants are in flash once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from driftc.boards.timing import Timing
from driftc.codegen.kernels.kernel import Kernel
from driftc.codegen.operators.base import Operator
from driftc.codegen.plan.buffer import Buffer
from driftc.codegen.plan.call import Call

# What a kernel for some cores must save beside one for all: cycles, and a share of its own. Estimates err, and its
# functions take flash. Of one in C, whose estimates err as those of others in C do, half of that.
SAVED, ERROR = 500.0, 0.05

Chosen = dict[Operator, Kernel]
Counted = Sequence[tuple[Call, int]]  # calls that differ in what a kernel looks at, and how many there are of each
Kinds = dict[Operator, list[tuple[Call, int]]]  # those of each operator


def choose(calls: Iterable[Call], among: Sequence[Kernel], room: int = 0) -> Chosen:
    """The kernel of each operator, of `among`, with `room` bytes of scratch; of equals the later one."""
    return choose_for(by_operator(calls), among, room)


def choose_for(calls: Kinds, among: Sequence[Kernel], room: int) -> Chosen:
    return {
        operator: min(
            (kernel for kernel in reversed(among) if serves(kernel, kinds, room)),
            key=lambda kernel: weight(kernel, kinds, kernel.timing),
        )
        for operator, kinds in calls.items()
    }


def weight(kernel: Kernel, kinds: Counted, timing: Timing | None) -> float:
    """What kernels are compared by: cycles of all these calls, and what it must save."""
    margin = 1.0 if kernel.needs else 0.5 if kernel.prefers else 0.0
    return cost_of(kernel, kinds, timing) * (1 + margin * ERROR) + margin * SAVED


def cost_of(kernel: Kernel, kinds: Counted, timing: Timing | None) -> float:
    """Cycles of all these calls."""
    return sum(kernel.cycles(call, timing) * count for call, count in kinds)


def weight_of_all(calls: Kinds, chosen: Chosen) -> float:
    return sum(weight(chosen[operator], kinds, chosen[operator].timing) for operator, kinds in calls.items())


def rooms(calls: Kinds, among: Sequence[Kernel]) -> list[int]:
    """The bytes of scratch that make a difference, the fewest first."""
    sizes = {
        max(kernel.scratch(call) for call, _ in kinds)
        for kinds in calls.values()
        for kernel in among
        if serves(kernel, kinds)
    }
    return sorted(sizes)


def scratch_of(calls: Iterable[Call], chosen: Chosen, name: str) -> list[Buffer]:
    """The room that the calls share, one after the other; none where no kernel needs any."""
    size = max((chosen[call.operator].scratch(call) for call in calls), default=0)
    words = -(-size // 4)
    return [Buffer(name, "", 0, np.dtype(np.int32), (1, 1, words), (size, size, 4), 1, words)] if words else []


def served(call: Call, chosen: Chosen, scratch: Buffer | None) -> Call:
    """`call` by its kernel, with `scratch` where that needs any."""
    kernel = chosen[call.operator]
    return replace(call, kernel=kernel, scratch=scratch if kernel.scratch(call) else None)


def serves(kernel: Kernel, kinds: Counted, room: int | None = None) -> bool:
    """It computes all these calls, within `room` bytes of scratch."""
    serving = all(kernel.computes(call) for call, _ in kinds)
    return serving and (room is None or all(kernel.scratch(call) <= room for call, _ in kinds))


def by_operator(calls: Iterable[Call]) -> Kinds:
    """Calls that differ in nothing a kernel looks at, once each, and how many there are."""
    first: dict[tuple[object, ...], Call] = {}
    count: Counter[tuple[object, ...]] = Counter()
    for call in calls:
        key = _key(call)
        first.setdefault(key, call)
        count[key] += 1
    found: Kinds = {}
    for key, call in first.items():
        found.setdefault(call.operator, []).append((call, count[key]))
    return found


def _key(call: Call) -> tuple[object, ...]:
    return (
        call.operator,
        call.rows.count,
        call.channels,
        call.reduce,
        call.epilogue,
        call.pixels,
        call.backward,
        *map(id, (*call.inputs, *call.outputs)),
    )
