"""The order of the operators that needs the least RAM at its fullest moment.

States are sets of operators that have run: whatever their order, the same tensors are live afterwards. The search
goes from state to state, always on from the one whose road was the least full, so the first complete order is the
best. Among equals, operators keep the model's order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from heapq import heappop, heappush

from driftc.codegen.plan.overlap import Distance
from driftc.codegen.plan.place import Block, Problem

MOST_STATES = 30_000  # expanded before the search gives up being exact
BEAM = 64  # states of each length that are kept then


@dataclass(frozen=True)
class Step:
    """One operator: the storages it reads and writes, and how those that die may overlap those that begin."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    distances: Mapping[tuple[str, str], Distance] = field(default_factory=dict)  # (read, written)


@dataclass(frozen=True)
class Memory:
    """Storages by name: bytes of each, those that are there before the first step, those wanted after the last.

    A storage of 0 bytes has its place elsewhere. `replaced` are pairs (old, new) in the same place: all that read the
    old one run before the new one is written.
    """

    bytes: Mapping[str, int]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    replaced: tuple[tuple[str, str], ...] = ()


def problem_of(
    steps: Sequence[Step], memory: Memory, rooms: tuple[int | None, ...] = (None,)
) -> tuple[Problem, list[str]]:
    """What has to be placed when `steps` run in this order, and the storage of each block."""
    first = dict.fromkeys(memory.inputs, -1)
    last = dict(first)
    for position, step in enumerate(steps):
        for name in (*step.reads, *step.writes):
            first.setdefault(name, position)
            last[name] = position
    for name in memory.outputs:
        last[name] = len(steps)
    names = [name for name in first if memory.bytes[name]]
    number = {name: n for n, name in enumerate(names)}
    gaps: dict[tuple[int, int], int] = {}
    same: set[tuple[int, int]] = set()
    for position, step in enumerate(steps):
        for (source, target), distance in step.distances.items():
            placed = source in number and target in number
            if placed and last[source] == position and first[target] == position:
                gaps[number[target], number[source]] = distance.below
                gaps[number[source], number[target]] = distance.above
                if distance.same:
                    same.add((number[target], number[source]))
    blocks = tuple(Block(memory.bytes[name], first[name], last[name]) for name in names)
    return Problem(blocks, gaps, frozenset(same), rooms), names


def schedule(steps: Sequence[Step], memory: Memory) -> list[int]:
    """The numbers of `steps` in the order that needs least; the given order where none needs less."""
    given = list(range(len(steps)))
    search = _Search(steps, memory)
    least = search.peak(given)
    if least <= search.floor:
        return given
    found = search.exact(least) or search.beam()
    return found if search.peak(found) < least else given


def peak(steps: Sequence[Step], memory: Memory, order: Sequence[int]) -> int:
    """The most bytes that are live at once when `steps` run in this order: placement's bound."""
    return _Search(steps, memory).peak(order)


def shared(step: Step, dying: Set[str], sizes: Mapping[str, int]) -> int:
    """Bytes that what `step` writes can share with the storages of `dying`, which it is the last to read."""
    closer = [(a, b, d) for (a, b), d in step.distances.items() if a in dying and sizes[a] and sizes[b]]
    if not closer:
        return 0
    sides = (
        sum(sizes[name] for name in {a for a, _, _ in closer}),
        sum(sizes[name] for name in {b for _, b, _ in closer}),
    )
    pairs = (
        max(sizes[a], sizes[b], 0 if d.same else min(sizes[a] + d.below, sizes[b] + d.above)) for a, b, d in closer
    )
    return sum(sides) - max(*sides, *pairs)


class _Search:
    def __init__(self, steps: Sequence[Step], memory: Memory) -> None:
        self.steps, self.memory = steps, memory
        maker = {name: n for n, step in enumerate(steps) for name in step.writes}
        self.before = [sum({1 << maker[name] for name in step.reads if name in maker}) for step in steps]
        for old, new in memory.replaced:
            readers = sum(1 << n for n, step in enumerate(steps) if old in step.reads)
            if new in maker:
                self.before[maker[new]] |= readers & ~(1 << maker[new])
        self.readers: dict[str, int] = dict.fromkeys(memory.bytes, 0)
        for n, step in enumerate(steps):
            for name in step.reads:
                self.readers[name] |= 1 << n
        for name in memory.outputs:
            self.readers[name] |= 1 << len(steps)  # the caller, who reads last
        self.start = sum(memory.bytes[name] for name in set(memory.inputs))
        self.floor = max([self.start, *(self._alone(n) for n in range(len(steps)))])
        self.all = (1 << len(steps)) - 1

    def _alone(self, n: int) -> int:
        """What step n needs in any order."""
        step, size = self.steps[n], self.memory.bytes
        return sum(size[name] for name in (*step.reads, *step.writes)) - shared(step, set(step.reads), size)

    def _run(self, done: int, n: int, live: int) -> tuple[int, int]:
        """Bytes while step n runs and after it, from `live` before it."""
        step, size = self.steps[n], self.memory.bytes
        dying = {name for name in step.reads if not self.readers[name] & ~(done | 1 << n)}
        during = live + sum(size[name] for name in step.writes) - shared(step, dying, size)
        kept = sum(size[name] for name in step.writes if self.readers[name])
        return during, live + kept - sum(size[name] for name in dying)

    def peak(self, order: Sequence[int]) -> int:
        done, live, most = 0, self.start, self.start
        for n in order:
            during, live = self._run(done, n, live)
            done |= 1 << n
            most = max(most, during)
        return most

    def _ready(self, done: int) -> list[int]:
        return [n for n, before in enumerate(self.before) if not done >> n & 1 and not before & ~done]

    def _next(self, done: int, live: int, most: int) -> list[tuple[int, int, int]]:
        """Steps that can run now, with the peak so far and the bytes after them.

        One that needs no more than the peak and leaves no more than it found can run at once: later would not be
        better.
        """
        found = []
        for n in self._ready(done):
            during, after = self._run(done, n, live)
            if during <= most and after <= live:
                return [(n, most, after)]
            found.append((n, max(most, during), after))
        return found

    def exact(self, least: int) -> list[int] | None:
        """An order whose peak is the smallest of all; None after MOST_STATES. `least` is one that is known."""
        heap: list[tuple[int, int, tuple[int, ...], int, int]] = [(self.start, 0, (), 0, self.start)]
        seen: set[int] = set()
        while heap and len(seen) < MOST_STATES:
            most, _, order, done, live = heappop(heap)
            if done == self.all:
                return list(order)
            if done in seen:
                continue
            seen.add(done)
            for n, peak, after in self._next(done, live, most):
                if peak <= least and done | 1 << n not in seen:
                    heappush(heap, (peak, -len(order) - 1, (*order, n), done | 1 << n, after))
        return None

    def beam(self) -> list[int]:
        """A good order of any number of steps."""
        states: dict[int, tuple[int, int, tuple[int, ...]]] = {0: (self.start, self.start, ())}
        for _ in self.steps:
            grown: dict[int, tuple[int, int, tuple[int, ...]]] = {}
            for done, (most, live, order) in states.items():
                for n, peak, after in self._next(done, live, most):
                    state = (peak, after, (*order, n))
                    key = done | 1 << n
                    if key not in grown or state < grown[key]:
                        grown[key] = state
            states = dict(sorted(grown.items(), key=lambda item: item[1])[:BEAM])
        return list(states[self.all][2])
