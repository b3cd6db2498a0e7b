"""After this pass states are written in their own place, and read there, wherever that changes no byte.

What is assigned to a variable is computed in the variable's place; a copy is left only where the old value is still
needed then. STRIDED_SLICE and CONCATENATION that move a variable on by some rows become one operator that does it in
place. Operators come in an order in which a state is read before it is overwritten.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from driftc.codegen.errors import ModelError
from driftc.codegen.graph import Graph, State
from driftc.codegen.kernels.portable.default import PORTABLE
from driftc.codegen.names import identifier
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.movement.concatenation import Concatenation
from driftc.codegen.operators.movement.strided_slice import StridedSlice
from driftc.codegen.operators.state.assign_variable import AssignVariable
from driftc.codegen.operators.state.copy import Copy
from driftc.codegen.operators.state.read_variable import ReadVariable
from driftc.codegen.operators.state.shift_state import ShiftState
from driftc.codegen.plan.overlap import distance
from driftc.codegen.tensor import Tensor


def state(graph: Graph) -> Graph:
    """Raises ModelError where an operator would have to read a state that it has overwritten already."""
    if not graph.states:
        return graph
    found = _States(graph)
    for each in graph.states:
        found.assign(each)
    for each in graph.states:
        found.shift(each)
    for each in graph.states:
        found.settle(each)
    return found.graph()


class _States:
    def __init__(self, graph: Graph) -> None:
        self.source = graph
        self.operators = list(graph.operators)
        self.next = {each.tensor.name: each.next for each in graph.states}
        self.fused = dict(graph.fused)
        self.before: list[tuple[Operator, Operator]] = []  # pairs that must run in this order
        self.taken: set[str] = set()  # storages that lie in the place of a state

    def graph(self) -> Graph:
        states = tuple(replace(each, next=self.next[each.tensor.name]) for each in self.source.states)
        return replace(self.source, operators=tuple(self._ordered()), states=states, fused=self.fused)

    def assign(self, each: State) -> None:
        """Where the next value cannot lie in the state's place from the start on, have it assigned to it."""
        name = self.next[each.tensor.name]
        maker = self._by_output().get(name)
        alone = list(self.next.values()).count(name) == 1
        if name == each.tensor.name or (
            maker is not None and not maker.view and alone and self._in_place(maker, each.tensor.name, name)
        ):
            return
        value = next(tensor for tensor in self.source.tensors() if tensor.name == name)
        kept = replace(value, name=self._tensor_name(f"{each.tensor.name} kept"), index=None)
        layer, label = self._layer_name(each.tensor.name, "kept"), each.tensor.label
        self.operators.append(AssignVariable(name=layer, label=label, inputs=(value,), outputs=(kept,)))
        self.next[each.tensor.name] = kept.name

    def _tensor_name(self, name: str) -> str:
        return _other(name, {tensor.name for tensor in self.source.tensors()} | self._by_output().keys())

    def _layer_name(self, tensor: str, what: str) -> str:
        return _other(f"{identifier(tensor, 'state')}_{what}", {operator.name for operator in self.operators})

    def settle(self, each: State) -> None:
        """Have the state written in its place: by whoever computes its next value, or by a copy at the end."""
        if self.next[each.tensor.name] == each.tensor.name:
            return
        writer = self._by_output()[self.next[each.tensor.name]]
        if isinstance(writer, AssignVariable):
            writer = self._merged(each, writer) or writer
        for reader in self._readers(each.tensor.name):
            if reader is not writer and self._leads(writer, reader):
                self._detach(each, reader)
        left = [reader for reader in self._readers(each.tensor.name) if reader is not writer]
        if any(self._root(name) == each.tensor.name for name in self._leaving()):
            for reader in left:
                self._detach(each, reader)
            self._detach_views(each)
            left = [reader for reader in self._readers(each.tensor.name) if reader is not writer]
        self.before += [(reader, writer) for reader in left]
        self.taken.add(self._root(self.next[each.tensor.name]))

    def _merged(self, each: State, assign: AssignVariable) -> Operator | None:
        """The operator that computes what `assign` copies, if it can do so in the state's place."""
        (value,) = assign.inputs
        root = self._root(value.name)
        maker = next((op for op in self.operators if not op.view and root in _names(op.outputs)), None)
        if maker is None or root in self.taken or root in self.next.values():
            return None
        (tensor,) = (t for t in maker.outputs if t.name == root)
        readers = self._readers(each.tensor.name)
        later = any(self._leads(maker, reader) for reader in readers if reader is not maker)
        leaves = any(self._root(name) == each.tensor.name for name in self._leaving())
        if tensor.bytes != each.tensor.bytes or later or leaves or not self._in_place(maker, each.tensor.name, root):
            return None
        self._remove(assign, value)
        self.fused[assign.outputs[0].name] = maker.name
        self.next[each.tensor.name] = root
        return maker

    def _in_place(self, maker: Operator, old: str, new: str) -> bool:
        """Whether the kernel reads each byte of `old` before it writes that byte of `new`."""
        target = next(n for n, tensor in enumerate(maker.outputs) if tensor.name == new)
        places = [n for n, tensor in enumerate(maker.inputs) if self._root(tensor.name) == old]
        ways = (False, True) if PORTABLE.reverses(maker) else (False,)
        found = [[distance(maker, place, target, backward) for place in places] for backward in ways]
        return any(all(one is not None and one.allows(0, 0) for one in way) for way in found)

    def shift(self, each: State) -> None:
        """READ, STRIDED_SLICE of all but the oldest rows, CONCATENATION with the newest, ASSIGN: one operator."""
        made = self._by_output()
        assign = made.get(self.next[each.tensor.name])
        joined = made.get(assign.inputs[0].name) if isinstance(assign, AssignVariable) else None
        if not isinstance(joined, Concatenation) or len(joined.inputs) != 2 or joined.outputs[0].dtype != np.int8:
            return
        rest = made.get(joined.inputs[0].name)
        if not isinstance(rest, StridedSlice) or self._root(rest.inputs[0].name) != each.tensor.name:
            return
        new, axis, shape = joined.inputs[1], joined.axis, joined.outputs[0].shape
        begin = tuple(new.shape[axis] if place == axis else 0 for place in range(len(shape)))
        kept = joined.inputs[0].shape
        alone = self._read_by(rest.outputs[0].name) == [joined] and not {*_names(rest.outputs)} & self._leaving()
        whole = rest.inputs[0].shape == shape and rest.begin == begin and rest.counts == kept
        if not alone or not whole or set(rest.strides) != {1} or set(shape[:axis]) - {1} or new.data is not None:
            return
        moved = ShiftState(
            name=joined.name,
            label=joined.label,
            index=joined.index,
            inputs=(rest.inputs[0], new),
            outputs=joined.outputs,
        )
        self.operators[self.operators.index(joined)] = moved
        self.operators.remove(rest)
        self.fused[rest.outputs[0].name] = moved.name

    def _detach(self, each: State, reader: Operator) -> None:
        """Give `reader` a copy of the state as it was before the inference."""
        views = [op for op in self.operators if isinstance(op, ReadVariable) and op.inputs[0].name == each.tensor.name]
        through = [op for op in views if any(self._through(t.name, op) for t in reader.inputs)]
        for view in through:
            self._copied(view)
        if each.tensor.name in _names(reader.inputs):
            name, label = each.tensor.name, each.tensor.label
            kept = replace(each.tensor, name=self._tensor_name(f"{name} before"), index=None)
            made = Copy(name=self._layer_name(name, "before"), label=label, inputs=(each.tensor,), outputs=(kept,))
            inputs = tuple(kept if tensor.name == name else tensor for tensor in reader.inputs)
            self._replace(self.operators.index(reader), replace(reader, inputs=inputs))
            self.operators.insert(0, made)

    def _detach_views(self, each: State) -> None:
        """What leaves the model must not be overwritten."""
        for op in list(self.operators):
            leaves = isinstance(op, ReadVariable) and any(self._through(name, op) for name in self._leaving())
            if leaves and op.inputs[0].name == each.tensor.name:
                self._copied(op)

    def _copied(self, view: Operator) -> None:
        made = Copy(name=view.name, label=view.label, index=view.index, inputs=view.inputs, outputs=view.outputs)
        self.operators[self.operators.index(view)] = made

    def _through(self, name: str, view: Operator) -> bool:
        """The tensor is the output of `view`, or a view of it."""
        while name != view.outputs[0].name:
            maker = self._by_output().get(name)
            if maker is None or not maker.view:
                return False
            name = maker.inputs[0].name
        return True

    def _remove(self, operator: Operator, value: Tensor) -> None:
        """Whoever reads the output of `operator` reads `value`."""
        self.operators.remove(operator)
        (gone,) = operator.outputs
        for place, other in enumerate(self.operators):
            if gone.name in _names(other.inputs):
                inputs = tuple(value if tensor.name == gone.name else tensor for tensor in other.inputs)
                self._replace(place, replace(other, inputs=inputs))

    def _replace(self, place: int, made: Operator) -> None:
        old, self.operators[place] = self.operators[place], made
        self.before = [tuple(made if op is old else op for op in pair) for pair in self.before]  # type: ignore[misc]

    def _by_output(self) -> dict[str, Operator]:
        return {tensor.name: operator for operator in self.operators for tensor in operator.outputs}

    def _root(self, name: str) -> str:
        """The tensor whose bytes these are."""
        made = self._by_output()
        while name in made and made[name].view:
            name = made[name].inputs[0].name
        return name

    def _read_by(self, name: str) -> list[Operator]:
        return [operator for operator in self.operators if name in _names(operator.inputs)]

    def _readers(self, storage: str) -> list[Operator]:
        """What reads the bytes, views aside."""
        return [
            operator
            for operator in self.operators
            if not operator.view and any(self._root(tensor.name) == storage for tensor in operator.inputs)
        ]

    def _leaving(self) -> set[str]:
        return {tensor.name for tensor in self.source.outputs}

    def _leads(self, first: Operator, last: Operator) -> bool:
        """`last` needs what `first` computes, or must run after it."""
        return last in self._following(first)

    def _following(self, first: Operator) -> list[Operator]:
        found = [first]
        for operator in found:
            for tensor in operator.outputs:
                found += [reader for reader in self._read_by(tensor.name) if reader not in found]
            found += [last for earlier, last in self.before if earlier is operator and last not in found]
        return found[1:]

    def _ordered(self) -> Iterable[Operator]:
        """As they were, each after what it needs and after what must run before it."""
        made = self._by_output()
        done: dict[int, Operator] = {}
        waiting: set[int] = set()

        def visit(operator: Operator) -> None:
            if id(operator) in done:
                return
            if id(operator) in waiting:
                raise ModelError(f"{operator.name}: the states that it needs are overwritten before it can run")
            waiting.add(id(operator))
            for earlier, last in self.before:
                if last is operator:
                    visit(earlier)
            for tensor in operator.inputs:
                if tensor.name in made:
                    visit(made[tensor.name])
            done[id(operator)] = operator

        for operator in self.operators:
            visit(operator)
        return done.values()


def _other(name: str, known: set[str]) -> str:
    """`name`, or with a number behind it where that is known."""
    return next(each for each in (name, *(f"{name}_{n}" for n in range(2, len(known) + 3))) if each not in known)


def _names(tensors: Iterable[Tensor]) -> list[str]:
    return [tensor.name for tensor in tensors]
