"""The Plan that the options ask for: untiled where that will do, else what codegen/plan/search.py finds, placed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

from driftc.codegen.graph import Graph
from driftc.codegen.kernels import Granted
from driftc.codegen.operators.movement.row_input import RowInput
from driftc.codegen.plan.candidates import candidates
from driftc.codegen.plan.grant import Grant, best, offers, unused
from driftc.codegen.plan.plan import Plan
from driftc.codegen.plan.propose import arrange, memory_of, untiled, views_of
from driftc.codegen.plan.schedule import schedule
from driftc.codegen.plan.search import Label, Roads
from driftc.codegen.plan.unit import Unit

PLACED, FINAL = 6, 3  # roads that are placed greedily before the best are taken, and of those by the planner
MANY, FEWER = 64, 2  # of so many operators, where each road takes seconds to find, so many are placed
TINY = 1e-9  # of a share
BEYOND = 1.25  # times the bytes that a road says: placing it in another order may need fewer
SLACK = 1024  # bytes of the arena that fast kernels may have for scratch where nothing limits it


@dataclass(frozen=True)
class Goal:
    """`ram` bytes for the arena at most; `minimize` "instructions" (by their cycles) in them, or "ram".

    The latter within `overhead` percent more cycles.

    `flash` bytes more of constants at most, where they save instructions.

    Where the limit is that of a board, not `asked` for, an arena spread over several memories will do as well.
    """

    ram: int | None = None
    asked: bool = False
    minimize: str = "instructions"
    overhead: float = 25.0
    flash: int = 0


@dataclass(frozen=True, eq=False)
class Point:
    """A Plan, and the cycles that it takes beyond the untiled one: estimated, as a share of its own."""

    plan: Plan
    extra: float

    @property
    def bytes(self) -> int:
        return self.plan.arena_bytes

    @property
    def macs(self) -> int:
        """Computed in all, the same thing twice where it is computed twice."""
        return sum(piece.macs for piece in self.plan.pieces)

    def as_json(self) -> dict[str, Any]:
        kinds = [piece.kind for piece in self.plan.pieces if piece.kind]
        return {
            "arena_bytes": self.bytes,
            "extra_cycles": self.extra,
            "macs": self.macs,
            "units": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
        }


@dataclass(frozen=True, eq=False)
class Choice:
    """`point` is what was asked for; where nothing is within the goal, the least that was found, and `met` is False."""

    point: Point
    untiled_bytes: int
    met: bool = True
    grants: tuple[Grant, ...] = ()


def choose(
    graph: Graph, planner: str, goal: Goal, memories: Sequence[tuple[str, int]] = (), core: str | None = None
) -> Choice:
    """The Plan for `goal` by the kernels of `core` (None: those that every core can run); `memories` as for `arrange`.

    What is granted of `goal.flash` to a layer that then has another kernel nevertheless is given to others.
    Raises ToolError where the planner is missing.
    """
    offered = offers(graph, core) if goal.flash else []
    while True:
        grants = best(offered, goal.flash)
        choice = _choose(_Search(graph, planner, memories, core, tuple(grant.pair for grant in grants)), goal)
        left = unused(grants, choice.point.plan)
        if not left:
            return replace(choice, grants=grants)
        offered = [grant for grant in offered if grant not in left]


def _choose(search: _Search, goal: Goal) -> Choice:
    plain = search.untiled(goal)
    spread = len(plain.plan.regions) > 1 and not goal.asked
    least = goal.minimize == "ram"
    if not least and (goal.ram is None or plain.bytes <= goal.ram or spread):
        cut = search.cheapest(goal.ram) if goal.asked and goal.ram and plain.extra > TINY else None
        return Choice(cut if cut and cut.extra < plain.extra - TINY else plain, plain.bytes)
    if not least:
        found = search.cheapest(goal.ram or 0)
    else:
        found = (search.small if search.fed else search.smallest)(goal.overhead / 100)
    if found is None or found.bytes > plain.bytes or (found.bytes == plain.bytes and found.extra >= plain.extra):
        found = plain
    if goal.ram is not None and found.bytes > goal.ram:
        smaller = search.smallest(math.inf)
        least_found = min((found, smaller or found), key=lambda point: point.bytes)
        return Choice(least_found, plain.bytes, met=least_found.bytes <= goal.ram)
    return Choice(found, plain.bytes)


def pareto(
    graph: Graph,
    planner: str,
    memories: Sequence[tuple[str, int]] = (),
    core: str | None = None,
    granted: Granted = (),
) -> list[Point]:
    """Plans that no other beats in both bytes and cycles, the most bytes first; the untiled one is among them."""
    search = _Search(graph, planner, memories, core, granted)
    points = [search.untiled(Goal())]
    points += [search.placed(label) for roads in search.roads for label in roads.smallest()]
    points.sort(key=lambda point: (point.extra, point.bytes))
    front: list[Point] = []
    for point in points:
        if not front or point.bytes < front[-1].bytes:
            front.append(point)
    least = search.smallest(math.inf)
    if least is not None and least.bytes < front[-1].bytes:
        front.append(least)
    return front


class _Search:
    """The roads of a Graph, in the model's order and in the one that needs least."""

    def __init__(
        self, graph: Graph, planner: str, memories: Sequence[tuple[str, int]], core: str | None, granted: Granted
    ) -> None:
        self.graph, self.planner, self.memories = graph, planner, memories
        self.core, self.granted = core, granted
        self.units = untiled(graph)

    @cached_property
    def usual(self) -> _Search:
        """The same by the kernels of every core."""
        alone = self.core is None and not self.granted
        return self if alone else _Search(self.graph, self.planner, self.memories, None, ())

    def _own(self, point: Point | None) -> Point | None:
        """One of `usual`, its cycles beside those that this search takes for whole."""
        if point is None or self.usual is self:
            return point
        cycles = point.extra * self.usual.whole + self.usual.uncut[0].best
        return replace(point, extra=(cycles - self.uncut[0].best) / self.whole)

    @cached_property
    def orders(self) -> list[list[Unit]]:
        units = self.units
        order = schedule([unit.step for unit in units], memory_of(self.graph, units, views_of(self.graph)))
        orders = [units, [units[n] for n in order]]
        return orders[: 1 if orders[0] == orders[1] else 2]

    @cached_property
    def roads(self) -> list[Roads]:
        return [Roads(self.graph, each, candidates(self.graph, each), self.core, self.granted) for each in self.orders]

    @cached_property
    def uncut(self) -> list[Roads]:
        """With operators whole alone."""
        return [Roads(self.graph, each, (), self.core, self.granted) for each in self.orders]

    @cached_property
    def whole(self) -> float:
        """Cycles of all operators whole, by their fastest kernels."""
        return sum(self.uncut[0].costs) + self.uncut[0].best

    @property
    def fed(self) -> bool:
        """The input arrives row by row."""
        return any(isinstance(operator, RowInput) for operator in self.graph.operators)

    @cached_property
    def needed(self) -> int:
        """Bytes of the arena where all operators are whole and their kernels those of every core."""
        quick = arrange(self.graph, self.units, "greedy")
        if self.planner == "greedy" or quick.arena_bytes == quick.bound:
            return quick.arena_bytes
        return arrange(self.graph, self.units, self.planner).arena_bytes

    def untiled(self, goal: Goal) -> Point:
        """All operators whole: the fewest cycles within `SLACK` bytes more than needed, or within what is asked for."""
        if any(self.uncut[0].fastest):
            limit = self.needed + SLACK
            if goal.ram is not None and goal.ram >= self.needed:
                limit = goal.ram if goal.asked else min(limit, goal.ram)
            found = [point for roads in self.uncut for point in islice(self._within(roads, limit), 1)]
            housed = [point for point in found if self._housed(point)]
            if housed:
                return min(housed, key=lambda point: point.extra)
        plain = arrange(self.graph, self.units, self.planner, self.memories)
        return Point(plain, -self.uncut[0].best / self.whole)

    def _housed(self, point: Point) -> bool:
        """It is in one memory, or spread over several, if it is in any."""
        sizes = [size for _, size in self.memories]
        return len(sizes) < 2 or point.bytes <= max(sizes) or len(point.plan.regions) > 1 or point.bytes > sum(sizes)

    def placed(self, label: Label, planner: str | None = None) -> Point:
        plan = arrange(self.graph, label.units, planner or self.planner, self.memories)
        return Point(plan, (label.cycles - self.uncut[0].best) / self.whole)

    def cheapest(self, limit: int) -> Point | None:
        """The fewest cycles within `limit` bytes; in another order a road may need fewer than it says."""
        most = round(BEYOND * limit)
        found = [point for roads in self.roads for point in islice(self._within(roads, limit, most), 1)]
        found = found or [point for roads in self.roads for point in self._around(roads, limit, most)]
        if not found and self.usual is not self:
            return self._own(self.usual.cheapest(limit))
        return min(found, key=lambda point: (point.extra, point.bytes), default=None)

    def _within(self, roads: Roads, limit: int, most: int | None = None) -> Iterator[Point]:
        """Those of `roads` that say up to `most` bytes and are placed within `limit`."""
        for label in roads.cheapest(most or limit):
            quick = self.placed(label, "greedy")
            if self.planner == "greedy":
                point = quick
            elif quick.plan.bound <= limit:
                point = self.placed(label)
            else:
                continue
            if point.bytes <= limit:
                yield point

    def _around(self, roads: Roads, limit: int, most: int) -> Iterator[Point]:
        """Where a road says that it fits `limit`, but cannot be placed so: the best without its longest part."""
        for label in islice(roads.cheapest(limit), 1):
            with roads.avoiding(label):
                yield from islice(self._within(roads, limit, most), 1)

    def small(self, overhead: float) -> Point | None:
        """The fewest cycles within `SLACK` bytes, or an eighth, more than `smallest` by kernels of every core."""
        usual = self.usual.smallest(overhead)
        return None if usual is None else self.cheapest(usual.bytes + min(SLACK, usual.bytes // 8))

    def smallest(self, overhead: float) -> Point | None:
        """The fewest bytes within a share of `overhead` more cycles than all operators take whole, by their fastest."""
        most = self.uncut[0].best + overhead * self.whole
        quick: list[tuple[Point, Label]] = []
        for roads in self.roads:
            quick += self._quick(roads, most, quick)
            for label in islice(roads.smallest(most), 1):
                if label.bytes < min(point.bytes for point, _ in quick):
                    with roads.avoiding(label):
                        quick += self._quick(roads, most, quick)
        best: Point | None = None
        for point, label in sorted(quick, key=lambda pair: (pair[0].bytes, pair[0].extra))[:FINAL]:
            if best is None or point.plan.bound < best.bytes:
                point = self.placed(label)
                if best is None or (point.bytes, point.extra) < (best.bytes, best.extra):
                    best = point
        if most < 0 or self.usual is self:
            return best
        # Faster kernels' scratch may leave gaps.
        other = self._own(self.usual.smallest(most / sum(self.uncut[0].costs)))
        return min((point for point in (best, other) if point), key=lambda point: point.bytes, default=None)

    def _quick(self, roads: Roads, most: float, known: Sequence[tuple[Point, Label]]) -> list[tuple[Point, Label]]:
        """The first of `roads` within `most` more cycles, placed greedily, as long as they may need fewer bytes."""
        found: list[tuple[Point, Label]] = []
        for label in islice(roads.smallest(most), PLACED if len(self.units) < MANY else FEWER):
            least = min((point.bytes for point, _ in (*known, *found)), default=label.bytes)
            if label.bytes > BEYOND * least:
                break
            found.append((self.placed(label, "greedy"), label))
        return found
