"""Which operators run whole and which in parts together: every partition that the candidates allow, weighed exactly.

Positions in an order of the operators are the nodes of a graph, units its edges: an edge from i to j computes the
operators [i, j), and all that others need of them is whole at both ends. What is live at a node does not depend on
the road to it, so the bytes of an edge (what passes by, what it reads, makes and keeps for itself) do not either; a
road needs as many bytes as its fullest edge, and as many more cycles as its edges together: with a limit for the
bytes, a shortest path; over all limits, the whole Pareto front.

The same unit by faster kernels, which need scratch or overlap less, is an edge beside it.

A candidate's bytes are first estimated from below; only those on a road that is looked at become units, after which
the search is run again. What is found first with all its edges exact is therefore the best there is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from driftc.codegen.graph import Graph
from driftc.codegen.kernels import Granted
from driftc.codegen.plan.cost import of_unit
from driftc.codegen.plan.overlap import Distance
from driftc.codegen.plan.place import aligned
from driftc.codegen.plan.propose import replaced_of, state_offsets, views_of
from driftc.codegen.plan.schedule import Step, shared
from driftc.codegen.plan.unit import Unit, faster

ANYWHERE = Distance(-(1 << 40), -(1 << 40))  # of an estimate: the two may share all of their bytes


@dataclass(frozen=True, eq=False)
class Candidate:
    """A unit that computes the operators at positions [first, stop) of an order, made when it is needed.

    It keeps at least `private` bytes to itself and takes about `cycles` more than its operators do whole.
    `weigh` finds what it does keep, where that is quicker than `make`, which may find that it cannot be done: None.
    """

    first: int
    stop: int
    kind: str
    private: int
    cycles: float
    make: Callable[[], Unit | None]
    weigh: Callable[[], int] | None = None


class Edge:
    """A unit in the graph of positions: estimated, or exact once it is made."""

    def __init__(self, candidate: Candidate, memory: int, unit: Unit | None = None) -> None:
        self.candidate = candidate
        self.bytes = memory
        self.cycles = candidate.cycles
        self.unit = unit
        self.weighed = False
        self.barred = False


class Label(NamedTuple):
    """The best known way to a position, in its own balance of bytes and cycles: `edge` after `before`."""

    bytes: int
    cycles: float
    edge: Edge | None = None
    before: Label | None = None

    @property
    def edges(self) -> list[Edge]:
        found: list[Edge] = []
        label: Label | None = self
        while label is not None and label.edge is not None:
            found.append(label.edge)
            label = label.before
        return found[::-1]

    @property
    def units(self) -> list[Unit]:
        return [edge.unit for edge in self.edges if edge.unit is not None]


class Roads:
    """The partitions of `order`, whole operators in an order that can be executed, by `candidates`."""

    def __init__(
        self,
        graph: Graph,
        order: Sequence[Unit],
        candidates: Iterable[Candidate],
        core: str | None = None,
        granted: Granted = (),
    ) -> None:
        self.order, self.core, self.granted = order, core, granted
        self.views = views = views_of(graph)
        self.sizes = {tensor.name: aligned(tensor.bytes) for tensor in graph.inputs}
        for unit in order:
            self.sizes |= {t.name: aligned(t.bytes) for operator in unit.operators for t in operator.outputs}
        self.sizes |= dict.fromkeys(state_offsets(graph, views), 0)  # they lie elsewhere
        self.replaced = replaced_of(graph, views)
        self.last = dict.fromkeys((tensor.name for tensor in (*graph.inputs, *(s.tensor for s in graph.states))), -1)
        self.first = dict(self.last)
        for position, unit in enumerate(order):
            self.first |= dict.fromkeys(unit.step.writes, position)
            self.last |= dict.fromkeys((*unit.step.writes, *unit.step.reads), position)
        wanted = [*(tensor.name for tensor in graph.outputs if tensor.data is None), *(s.next for s in graph.states)]
        self.last |= dict.fromkeys((views.get(name, name) for name in wanted), len(order))
        self.start = sum(self.sizes[tensor.name] for tensor in graph.inputs)
        self.costs = [of_unit(unit, views, core) for unit in order]
        self.edges: list[list[Edge]] = [[] for _ in order]
        for position, unit in enumerate(order):
            same = Candidate(position, position + 1, "", 0, 0.0, lambda: None)
            self.edges[position] += [self._edge(same, each) for each in (unit, *self._faster(unit))]
        self.fastest = [min(edge.cycles for edge in edges) for edges in self.edges]  # beside self.costs
        for candidate in candidates:
            edge = Edge(candidate, self._least(candidate, candidate.private))
            edge.cycles += sum(self.fastest[candidate.first : candidate.stop])
            self.edges[candidate.first].append(edge)

    @property
    def best(self) -> float:
        """Instructions beside those of `order` where all operators are whole, by their fastest kernels."""
        return sum(self.fastest)

    def _edge(self, candidate: Candidate, unit: Unit) -> Edge:
        """An exact one."""
        first, stop = candidate.first, candidate.stop
        edge = Edge(candidate, self.held(first, stop, unit.step, {**self.sizes, **unit.private}), unit)
        edge.cycles = of_unit(unit, self.views, self.core) - sum(self.costs[first:stop])
        return edge

    def held(self, first: int, stop: int, step: Step, sizes: Mapping[str, int]) -> int:
        """Bytes live while `step` computes [first, stop): its own, and what passes by."""
        used = {*step.reads, *step.writes}
        dying = {name for name in step.reads if self.last[name] < stop}
        return self.passing(first, used) + sum(sizes[name] for name in used) - shared(step, dying, sizes)

    def passing(self, first: int, used: Set[str]) -> int:
        """Bytes that are made before position `first` and wait for later, those `used` there aside."""
        return sum(
            size
            for name, size in self.sizes.items()
            if self.first[name] < first <= self.last[name] and name not in used
        )

    def _least(self, candidate: Candidate, private: int) -> int:
        """From below: inputs and outputs overlap as far as blocks can."""
        first, stop = candidate.first, candidate.stop
        made = {name for unit in self.order[first:stop] for name in unit.step.writes}
        reads = {name for unit in self.order[first:stop] for name in unit.step.reads} - made
        writes = {name for name in made if self.last[name] >= stop}
        distances = {(source, target): ANYWHERE for source in reads for target in writes}
        step = Step(tuple(sorted(reads)), (*sorted(writes), ""), distances)
        return self.held(first, stop, step, {**self.sizes, "": private})

    def cheapest(self, limit: int) -> Iterator[Label]:
        """Roads within `limit` bytes, the fewest cycles first; each needs fewer bytes than the one before."""
        while (label := self._within(limit)) is not None:
            if self.exact(label):
                yield label
                limit = label.bytes - 1

    def smallest(self, most: float = math.inf) -> Iterator[Label]:
        """Roads within `most` more cycles, the fewest bytes first; each takes fewer than the one before."""
        while (label := self._smallest(most)) is not None:
            if self.exact(label):
                yield label
                most = math.nextafter(label.cycles, -math.inf)

    @contextmanager
    def avoiding(self, label: Label) -> Iterator[None]:
        """Other roads than `label` and those like it: none computes the operators of its longest part as one."""
        longest = max((edge.candidate for edge in label.edges), key=lambda part: part.stop - part.first)
        like = [edge for edge in self.edges[longest.first] if edge.candidate.stop == longest.stop and not edge.barred]
        like = like if longest.stop - longest.first > 1 else []
        for edge in like:
            edge.barred = True
        try:
            yield
        finally:
            for edge in like:
                edge.barred = False

    def _smallest(self, most: float) -> Label | None:
        """The fewest bytes that allow a road within `most` more cycles, as far as edges are known."""
        sizes = sorted({max(edge.bytes, self.start) for edges in self.edges for edge in edges if not edge.barred})
        low, high = 0, len(sizes)
        found: Label | None = None
        while low < high:
            middle = (low + high) // 2
            label = self._within(sizes[middle])
            if label is not None and label.cycles <= most:
                found, high = label, middle
            else:
                low = middle + 1
        return found

    def _within(self, limit: int) -> Label | None:
        """The fewest cycles within `limit` bytes, and of equals the fewest bytes, as far as edges are known."""
        arrived: list[Label | None] = [None] * (len(self.order) + 1)
        arrived[0] = Label(self.start, 0.0) if self.start <= limit else None
        for label, edges in zip(arrived, self.edges, strict=False):
            if label is None:
                continue
            for edge in edges:
                if edge.barred or edge.bytes > limit:
                    continue
                stop, cycles = edge.candidate.stop, label.cycles + edge.cycles
                size, there = max(label.bytes, edge.bytes), arrived[stop]
                if there is None or (cycles, size) < (there.cycles, there.bytes):
                    arrived[stop] = Label(size, cycles, edge, label)
        return arrived[-1]

    def exact(self, label: Label) -> bool:
        """Know more of `label`'s road; True where all its units are made."""
        found = True
        for edge in label.edges:
            if edge.unit is None:
                found = False
                self._look(edge)
        return found

    def _faster(self, unit: Unit) -> list[Unit]:
        return [each for each in faster(unit, self.core, self.views, self.granted) if self._keeps_states(each.step)]

    def _keeps_states(self, step: Step) -> bool:
        """No byte of a state is overwritten while the unit, which writes it, has still to read it."""
        pairs = [(old, new) for old, new in self.replaced if old in step.reads and new in step.writes]
        distances = [step.distances.get(pair) for pair in pairs]
        return all(distance is not None and distance.allows(0, 0) for distance in distances)

    def _look(self, edge: Edge) -> None:
        """Weigh a candidate that was only estimated, or make its unit."""
        if edge.weighed or edge.candidate.weigh is None:
            self._make(edge)
            return
        edge.weighed = True
        edge.bytes = self._least(edge.candidate, edge.candidate.weigh())

    def _make(self, edge: Edge) -> None:
        unit = edge.candidate.make()
        if unit is None or not self._keeps_states(unit.step):
            edge.barred = True
            return
        made = self._edge(edge.candidate, unit)
        edge.unit, edge.cycles, edge.bytes = unit, made.cycles, made.bytes
        self.edges[edge.candidate.first] += [self._edge(edge.candidate, each) for each in self._faster(unit)]
