"""A step of learning as a tape: operators in an order, of which those before the loss may run a second time behind it.

What an operator before the loss gives is kept until it is last read, or lost and computed again: once, where it is
first needed behind the loss, and kept from there, or each time that it is read. What that reads may be lost as well,
and is then computed again before it. Sums of errors, int32, are kept until they are errors of int16, or never: they are
computed twice. Nothing else changes: the same operators on the same values give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property

from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.learn.conv_gradient import ConvGradient, NormalizedErrors
from driftc.codegen.operators.learn.cross_entropy import CrossEntropy
from driftc.codegen.operators.learn.entropy import EntropyGradient
from driftc.codegen.operators.learn.gradient_errors import GradientErrors
from driftc.codegen.operators.learn.master_weights import MasterWeights
from driftc.codegen.plan.cost import of_unit
from driftc.codegen.plan.propose import memory_of, untiled, views_of
from driftc.codegen.plan.schedule import Step, schedule, shared
from driftc.codegen.plan.search import Roads
from driftc.codegen.plan.unit import whole
from driftc.codegen.tensor import Tensor

LOSS = (CrossEntropy, EntropyGradient)


class Keep(IntEnum):
    """What becomes of what an operator gives, behind the loss."""

    ALWAYS = 0  # it stays
    LATER = 1  # it is computed again where it is first needed, and stays from there
    NEVER = 2  # it is computed again each time


Keeping = tuple[Keep, ...]  # of each operator of Tape.early, then of each of Tape.sums, kept ALWAYS or NEVER


@dataclass(frozen=True, eq=False)
class Entry:
    """The operator at `position` of the tape runs; `names` are those of what it reads and writes, by the first ones."""

    position: int
    names: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Cost:
    """Of a way of keeping: bytes live at the fullest moment and at each, and cycles of what runs again."""

    peak: int
    live: tuple[int, ...]
    cycles: float

    def beyond(self, limit: int) -> int:
        """By how much all moments together exceed `limit`."""
        return sum(max(each - limit, 0) for each in self.live)


class Tape:
    """The operators of `graph`, a step of learning, in the order that needs the fewest bytes."""

    def __init__(self, graph: Graph, core: str) -> None:
        """`core`: by whose kernels what runs again is weighed."""
        self.graph = graph
        views, units = views_of(graph), untiled(graph)
        memory = memory_of(graph, units, views)
        # Weights are read before their masters change, so that they can be made again until then.
        made = [unit.step for unit in units if isinstance(unit.operators[0], MasterWeights)]
        late = [(w, new) for step in made for old, new in memory.replaced if old in step.reads for w in step.writes]
        order = schedule([u.step for u in units], replace(memory, replaced=(*memory.replaced, *late)))
        units = [units[n] for n in order]
        roads = Roads(graph, units, (), core)
        self.cycles = [whole + faster for whole, faster in zip(roads.costs, roads.fastest, strict=True)]
        self.instructions = [of_unit(unit, views) for unit in units]
        self.operators: list[Operator] = [unit.operators[0] for unit in units]
        self.steps: list[Step] = [unit.step for unit in units]
        self.sums = self._without_sums(views, core)
        self._sizes, self._views, self._memory = memory.bytes, views, memory
        self._shared: dict[tuple[int, frozenset[str]], int] = {}
        self._count = len(units)
        loss = [n for n, operator in enumerate(self.operators) if isinstance(operator, LOSS)]
        self.loss = loss[0] if loss else len(units)
        self._maker = {name: n for n, step in enumerate(self.steps[: self._count]) for name in step.writes}

    def _without_sums(self, views: dict[str, str], core: str) -> dict[int, tuple[int, int]]:
        """Of each gradient through a convolution: where its errors are made, and what gives them without its sums.

        The latter is behind the last operator of the order.
        """
        found: dict[int, tuple[int, int]] = {}
        for at, gradient in enumerate(self.operators[:]):
            if not isinstance(gradient, ConvGradient):
                continue
            name = gradient.outputs[0].name
            readers = [n for n, op in enumerate(self.operators) if name in {tensor.name for tensor in op.inputs}]
            errors = self.operators[readers[0]]
            if len(readers) > 1 or not isinstance(errors, NormalizedErrors):
                continue
            made = GradientErrors(
                name=f"{gradient.name}_twice", label=gradient.label, inputs=(*gradient.inputs, errors.inputs[1]),
                outputs=errors.outputs, gradient=gradient,
            )  # fmt: skip
            made.check()
            unit = whole(made, views)
            found[at] = readers[0], len(self.operators)
            self.operators.append(made)
            self.steps.append(unit.step)
            for each, of in ((self.cycles, core), (self.instructions, None)):
                each.append(of_unit(unit, views, of))
        return found

    @cached_property
    def early(self) -> list[int]:
        """Positions of what may run again: all that is needed behind the loss, and what it is made of."""
        found: set[int] = set()
        wanted = [name for step in self.steps[self.loss + 1 : self._count] for name in step.reads]
        while wanted:
            at = self._maker.get(wanted.pop())
            if at is not None and at < self.loss and at not in found:
                found.add(at)
                wanted += self.steps[at].reads
        return sorted(found)

    @property
    def plain(self) -> Keeping:
        """Nothing that is needed behind the loss runs again; what else there is, only where that does."""
        late = {name for step in self.steps[self.loss + 1 : self._count] for name in step.reads}
        early = (Keep.LATER if late.isdisjoint(self.steps[at].writes) else Keep.ALWAYS for at in self.early)
        return (*early, *(Keep.ALWAYS for _ in self.sums))

    def entries(self, keeping: Keeping) -> list[Entry] | None:
        """All that runs, in order; None where something would be made of a state that has changed."""
        keep = dict(zip((*self.early, *self.sums), keeping, strict=True))
        if any(keep[at] is Keep.LATER for at in self.sums):
            return None
        instead = {at: made for at, (_, made) in self.sums.items() if keep[at] is Keep.NEVER}
        gone = {behind for at, (behind, _) in self.sums.items() if at in instead}
        old = dict(self._memory.replaced)
        written: set[str] = set()
        found: list[Entry] = []
        copies: dict[str, str] = {}
        possible = True

        def run(position: int, names: dict[str, str]) -> None:
            nonlocal possible
            step = self.steps[position]
            possible = possible and not written.intersection(step.reads)
            found.append(Entry(position, names))
            written.update(before for before, after in old.items() if after in step.writes)

        def value(name: str, own: dict[str, str]) -> str:
            at = self._maker.get(name)
            if at is None or at >= self.loss or keep[at] is Keep.ALWAYS:
                return name
            known = copies if keep[at] is Keep.LATER else own
            if name not in known:
                names = {read: value(read, own) for read in self.steps[at].reads}
                again = {made: f"{made} again {len(found)}" for made in self.steps[at].writes}
                run(at, names | again)
                known.update(again)
            return known[name]

        for position in (n for n in range(self._count) if n not in gone):
            own: dict[str, str] = {}
            runs = instead.get(position, position)
            reads = self.steps[runs].reads
            run(runs, {read: value(read, own) if position > self.loss else read for read in reads})
        return found if possible else None

    def cost(self, entries: Sequence[Entry]) -> Cost:
        """Where each operator runs whole, and blocks lie without gaps."""
        last = {name: len(entries) for name in self._memory.outputs}
        for at in reversed(range(len(entries))):
            step, names = self.steps[entries[at].position], entries[at].names
            for name in (*step.reads, *step.writes):
                last.setdefault(names.get(name, name), at)
        live = start = sum(self._sizes[name] for name in set(self._memory.inputs))
        moments, cycles = [start], 0.0
        seen: set[int] = set()
        for at, entry in enumerate(entries):
            step, names = self.steps[entry.position], entry.names
            dying = frozenset(name for name in step.reads if last[names.get(name, name)] == at)
            written = sum(self._sizes[name] for name in step.writes)
            moments.append(live + written - self._together(entry.position, dying))
            live -= sum(self._sizes[name] for name in dying)
            live += sum(self._sizes[name] for name in step.writes if last[names.get(name, name)] > at)
            cycles += self.cycles[entry.position] if entry.position in seen else self._beyond.get(entry.position, 0.0)
            seen.add(entry.position)
        return Cost(max(moments), tuple(moments), cycles)

    @cached_property
    def _beyond(self) -> dict[int, float]:
        """Cycles of what computes sums twice, beyond those of what computes and keeps them."""
        own = self.cycles
        return {made: max(own[made] - own[at] - own[behind], 0.0) for at, (behind, made) in self.sums.items()}

    def _together(self, position: int, dying: frozenset[str]) -> int:
        key = position, dying
        if key not in self._shared:
            self._shared[key] = shared(self.steps[position], set(dying), self._sizes)
        return self._shared[key]

    def again(self, entries: Sequence[Entry]) -> list[int]:
        """Positions of what runs again, as often as it does."""
        seen: set[int] = set()
        found: list[int] = []
        twice = {made: at for at, (_, made) in self.sums.items()}
        for entry in entries:
            if entry.position in seen or entry.position in twice:
                found.append(twice.get(entry.position, entry.position))
            seen.add(entry.position)
        return found

    def graph_of(self, entries: Sequence[Entry]) -> Graph:
        """The step with these operators; one that runs again has its name, so that both are one function in C."""
        views = {op.outputs[0].name: op for op in self.graph.operators if op.view}
        operators: list[Operator] = []
        shown: dict[str, Tensor] = {}  # views that there are by now

        def tensor(given: Tensor, names: Mapping[str, str]) -> Tensor:
            view = views.get(given.name)
            if view is None:
                return replace(given, name=names[given.name]) if given.name in names else given
            source = tensor(view.inputs[0], names)
            key = f"{given.name} of {source.name}" if source.name != view.inputs[0].name else given.name
            if key not in shown:
                shown[key] = replace(given, name=key)
                operators.append(replace(view, inputs=(source,), outputs=(shown[key],)))
            return shown[key]

        for entry in entries:
            operator, names = self.operators[entry.position], entry.names
            made = tuple(replace(t, name=names[t.name]) if t.name in names else t for t in operator.outputs)
            inputs = tuple(tensor(given, names) for given in operator.inputs)
            operators.append(replace(operator, inputs=inputs, outputs=made))
        for output in (*self.graph.outputs, *self.graph.held):
            tensor(output, {})
        made_graph = self.graph.with_operators(operators)
        made_graph.check()
        return made_graph
