"""Which of a step's values are kept between its way forward and its way back, and which are computed again.

Of few operators all ways are weighed; of many a path is followed from the one that keeps everything: each time the
operator is chosen that saves the most bytes, over all moments that are too full, for its cycles, and what is not
needed in the end is taken back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from driftc.codegen.learning.tape import Cost, Keep, Keeping, Tape

FEW = 7  # operators: 3^7 ways are weighed in about a second
ALIGN = 4
FREE = 1.0  # cycles, of what costs none


@dataclass(frozen=True, eq=False)
class Way:
    """What is kept, and what that costs."""

    keeping: Keeping
    cost: Cost

    @property
    def order(self) -> tuple[float, int]:
        return self.cost.cycles, self.cost.peak


class Ways:
    """Ways of keeping the values of `tape`."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._known: dict[Keeping, Way | None] = {}
        self.few = len(tape.plain) <= FEW

    def of(self, keeping: Keeping) -> Way | None:
        """None where it cannot be done."""
        if keeping not in self._known:
            entries = self._tape.entries(keeping)
            self._known[keeping] = None if entries is None else Way(keeping, self._tape.cost(entries))
        return self._known[keeping]

    @property
    def plain(self) -> Way:
        """Everything is kept that is needed."""
        found = self.of(self._tape.plain)
        assert found is not None
        return found

    def front(self) -> list[Way]:
        """Ways that no other beats in both bytes and cycles, as far as is known: the most bytes first."""
        if self.few:
            for keeping in product(Keep, repeat=len(self._tape.plain)):
                self.of(keeping)
        else:
            self._follow()
        best: list[Way] = []
        for way in sorted((way for way in self._known.values() if way is not None), key=lambda way: way.order):
            if not best or way.cost.peak < best[-1].cost.peak:
                best.append(way)
        return best

    def _follow(self) -> None:
        """Towards fewer bytes, until there is no way on."""
        way: Way | None = self.plain
        while way is not None:
            way = self._within(way, way.cost.peak - ALIGN)

    def _within(self, way: Way, limit: int) -> Way | None:
        """A way within `limit` from one that is not."""
        while way.cost.peak > limit:
            beyond = way.cost.beyond(limit)
            found = [
                ((beyond - other.cost.beyond(limit)) / max(other.cost.cycles - way.cost.cycles, FREE), other)
                for other in self._beside(way) if other.cost.beyond(limit) < beyond
            ]  # fmt: skip
            if not found:
                return None
            way = max(found, key=lambda pair: pair[0])[1]
        return self._without_surplus(way, limit)

    def _without_surplus(self, way: Way, limit: int) -> Way:
        """The cheapest that is found by keeping more."""
        while True:
            fitting = [other for other in self._beside(way) if other.cost.peak <= limit and other.order < way.order]
            if not fitting:
                return way
            way = min(fitting, key=lambda other: other.order)

    def _beside(self, way: Way) -> Iterator[Way]:
        """Those that differ in one operator, or in all before one."""
        for place in range(len(way.keeping)):
            before, behind = way.keeping[:place], way.keeping[place + 1 :]
            for other in Keep:
                for keeping in ((*before, other, *behind), (*(other,) * (place + 1), *behind)):
                    found = None if keeping == way.keeping else self.of(keeping)
                    if found is not None:
                        yield found
