"""Offsets for blocks with lifetimes: what must hold, a bound from below, and a quick way to place them.

Blocks that are needed at the same time lie one above the other: `offset(a) + gap(a, b) <= offset(b)` or the same with
a and b exchanged. The gap is the lower block's bytes, or less where a kernel reads one block while it writes the
other (codegen/plan/overlap.py); lifetimes stay intervals. `codegen/plan/solve.py` solves the same problem exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

ALIGN = 4  # bytes, of every offset and size: what int32 needs, and word-wide loads of int8


@dataclass(frozen=True)
class Block:
    """`bytes` needed from program position `first` to `last`, both included."""

    bytes: int
    first: int
    last: int

    def meets(self, other: Block) -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Placement:
    """Where each block of a Problem lies, in the order of its blocks."""

    rooms: tuple[int, ...]  # index of the room
    offsets: tuple[int, ...]  # bytes from its start
    sizes: tuple[int, ...]  # bytes that are used of each room
    bound: int  # no placement needs fewer bytes

    @property
    def bytes(self) -> int:
        return sum(self.sizes)

    @property
    def proven(self) -> bool:
        return self.bytes == self.bound


@dataclass(frozen=True)
class Problem:
    """Blocks to place in rooms of limited size, so that the bytes used are fewest.

    `gaps[a, b]` is how far block a must start below block b, in bytes, where that is not a's size: of two blocks
    that meet, one must keep its gap below the other. A gap may be negative. Those in `same` (a below b) may also begin
    at the same byte.
    """

    blocks: tuple[Block, ...]
    gaps: Mapping[tuple[int, int], int] = field(default_factory=dict)
    same: frozenset[tuple[int, int]] = frozenset()
    rooms: tuple[int | None, ...] = (None,)  # bytes of each, None: without limit; in order of preference

    def size(self, block: int) -> int:
        return aligned(self.blocks[block].bytes)

    def gap(self, below: int, above: int) -> int:
        found = self.gaps.get((below, above))
        return self.size(below) if found is None else aligned(found)

    def alike(self, a: int, b: int) -> bool:
        """The two may begin at the same byte."""
        return (a, b) in self.same or (b, a) in self.same

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Every two blocks that meet."""
        for b, second in enumerate(self.blocks):
            yield from ((a, b) for a in range(b) if self.blocks[a].meets(second))

    def bound(self) -> int:
        """The most bytes that are live at one position, blocks that may share bytes counted as the closest they get."""
        positions = sorted({block.first for block in self.blocks})
        return max((self._live(position) for position in positions), default=0)

    def _live(self, position: int) -> int:
        live = [n for n, block in enumerate(self.blocks) if block.first <= position <= block.last]
        total = sum(self.size(n) for n in live)
        closer = [(a, b) for a in live for b in live if a < b and self._closer(a, b)]
        if not closer:
            return total
        # Blocks that share bytes at all: those on either side of the pairs are apart among themselves.
        dying = {n for pair in closer for n in pair if self.blocks[n].first < position}
        born = {n for pair in closer for n in pair} - dying
        sides = (sum(self.size(n) for n in dying), sum(self.size(n) for n in born))
        least = max(*sides, *(self._together(a, b) for a, b in closer))
        return total - sum(sides) + least

    def _closer(self, a: int, b: int) -> bool:
        """The two may share bytes."""
        return (a, b) in self.gaps or (b, a) in self.gaps or self.alike(a, b)

    def _together(self, a: int, b: int) -> int:
        """The fewest bytes from the lower end to the upper end of two blocks."""
        sizes = self.size(a), self.size(b)
        if self.alike(a, b):
            return max(sizes)
        return max(*sizes, min(self.gap(a, b) + sizes[1], self.gap(b, a) + sizes[0]))

    def holds(self, placement: Placement) -> bool:
        """Every block within its room, every two that meet at their distance."""
        at, rooms = placement.offsets, placement.rooms
        inside = all(
            at[n] % ALIGN == 0 and at[n] >= 0 and at[n] + self.size(n) <= placement.sizes[rooms[n]]
            for n in range(len(self.blocks))
        )
        limits = zip(placement.sizes, self.rooms, strict=True)
        return (
            inside
            and all(limit is None or size <= limit for size, limit in limits)
            and all(
                rooms[a] != rooms[b]
                or at[a] + self.gap(a, b) <= at[b]
                or at[b] + self.gap(b, a) <= at[a]
                or (self.alike(a, b) and at[a] == at[b])
                for a, b in self.pairs()
            )
        )


def aligned(size: int) -> int:
    """The next multiple of ALIGN from `size` upwards."""
    return -(-size // ALIGN) * ALIGN


def greedy(problem: Problem) -> Placement | None:
    """The best of a few orders, block by block at the best place that is left. None: the rooms are too small."""
    blocks = range(len(problem.blocks))

    def by_size(n: int) -> tuple[int, ...]:
        return (-problem.size(n), problem.blocks[n].first, n)

    def by_time(n: int) -> tuple[int, ...]:
        return (problem.blocks[n].first, -problem.size(n), n)

    def backwards(n: int) -> tuple[int, ...]:
        return (-problem.blocks[n].last, -problem.size(n), n)

    bound = problem.bound()
    best: Placement | None = None
    for key in (by_size, by_time, backwards):
        order = sorted(blocks, key=key)
        stack = _stacked(problem, order, bound)
        found = stack if _fits(problem, stack) else _spread(problem, order, bound)
        if found is not None and (best is None or found.bytes < best.bytes):
            best = found
    return best


def _fits(problem: Problem, placement: Placement) -> bool:
    return problem.rooms[0] is None or placement.sizes[0] <= problem.rooms[0]


def _stacked(problem: Problem, order: Sequence[int], bound: int) -> Placement:
    """All in the first room: each where it stretches the stack least, above or below what is there; then the lowest."""
    at: dict[int, int] = {}
    low = high = 0
    for n in order:
        size = problem.size(n)
        forbidden = _forbidden(problem, n, at)
        places = [0, *(edge for span in forbidden for edge in span)]
        free = (place for place in places if all(not start < place < stop for start, stop in forbidden))
        at[n] = min(free, key=lambda place: (max(high, place + size) - min(low, place), place))
        low, high = min(low, at[n]), max(high, at[n] + size)
    rest = (0,) * (len(problem.rooms) - 1)
    count = len(problem.blocks)
    return Placement((0,) * count, tuple(at[n] - low for n in range(count)), (high - low, *rest), bound)


def _spread(problem: Problem, order: Sequence[int], bound: int) -> Placement | None:
    """Each as low as it can be in the first room that has space for it."""
    rooms: dict[int, int] = {}
    at: dict[int, int] = {}
    sizes = [0] * len(problem.rooms)
    for n in order:
        for room, limit in enumerate(problem.rooms):
            neighbours = {other: at[other] for other in at if rooms[other] == room}
            place = _lowest(_forbidden(problem, n, neighbours))
            if limit is None or place + problem.size(n) <= limit:
                rooms[n], at[n] = room, place
                sizes[room] = max(sizes[room], place + problem.size(n))
                break
        else:
            return None
    count = range(len(problem.blocks))
    return Placement(tuple(rooms[n] for n in count), tuple(at[n] for n in count), tuple(sizes), bound)


def _forbidden(problem: Problem, n: int, at: Mapping[int, int]) -> list[tuple[int, int]]:
    """Open intervals of offsets that block n cannot have beside those placed `at`."""
    block = problem.blocks[n]
    spans: list[tuple[int, int]] = []
    for other in at:
        if problem.blocks[other].meets(block):
            start, stop = at[other] - problem.gap(n, other), at[other] + problem.gap(other, n)
            alike = problem.alike(n, other) and start < at[other] < stop
            spans += [(start, at[other]), (at[other], stop)] if alike else [(start, stop)]
    return sorted(span for span in spans if span[0] < span[1])


def _lowest(forbidden: Sequence[tuple[int, int]]) -> int:
    """The least offset from 0 that is not forbidden."""
    place = 0
    for start, stop in forbidden:
        if start < place < stop:
            place = stop
    return place
