"""What a .tflite keeps between inferences: variables that VAR_HANDLE names, and tensors marked `is_variable`.

Operators read a state as a tensor. What is assigned to it, or what an operator makes of it, is a tensor of its own,
which stands for the state from there on; the last of an inference is the state's next value.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from driftc.codegen.errors import ModelError
from driftc.codegen.frontends.tflite.node import Node
from driftc.codegen.frontends.tflite.schema import RawModel, RawOperator
from driftc.codegen.graph import State
from driftc.codegen.names import Names
from driftc.codegen.tensor import Array, Quantization, Tensor

HANDLE = "RESOURCE"  # the type of a tensor that names a variable
KINDS = ("int8", "int16", "int32")
Key = tuple[bytes, bytes]  # container and name


@dataclass
class _Variable:
    label: str
    initial: Array | None = None  # None: never assigned when compiling
    tensor: Tensor | None = None  # before the inference
    now: Tensor | None = None  # as far as the operators have been read
    assigned: bool = False
    reset: Quantization | None = None  # whose zero point it has where nothing is assigned when compiling


class Variables:
    """The states of a model while its operators are read in order. `names` are those of its tensors."""

    def __init__(self, raw: RawModel, names: Names) -> None:
        self._raw = raw
        self._names = names
        self._handles: dict[int, Key] = {}  # of subgraph 0, by the tensor that holds it
        self._known: dict[Key | int, _Variable] = {}  # a variable, or the index of an `is_variable` tensor

    @property
    def states(self) -> tuple[State, ...]:
        """What was read or written, in order of first use."""
        return tuple(
            State(known.tensor, _initial(known), (known.now or known.tensor).name)
            for known in self._known.values()
            if known.tensor is not None
        )

    def seen(self, node: Node) -> Node | None:
        """`node` as it is to be read: on tensors in place of handles. None where it is done with."""
        code = node.raw.code
        if code == "VAR_HANDLE":
            node.require(len(node.raw.outputs) == 1, "must have one output")
            key = self._handles[node.raw.outputs[0]] = _key(node)
            self._named(key)
        elif code == "CALL_ONCE":
            self._call_once(node)
        elif code == "READ_VARIABLE":
            return self._read(node)
        elif code == "ASSIGN_VARIABLE":
            return self._assign(node)
        else:
            used = [self._raw.tensors[i] for i in (*node.raw.inputs, *node.raw.outputs) if i >= 0]
            node.require(all(tensor.type_name != HANDLE for tensor in used), "takes a variable's handle")
            return node
        return None

    def _call_once(self, node: Node) -> None:
        """CALL_ONCE: what its subgraph assigns is the initial value of its variables."""
        number = int(node.options("CallOnceOptions").InitSubgraphIndex())
        node.require(1 <= number <= len(self._raw.others), f"calls subgraph {number}, which is not in the file")
        node.require(
            all(known.tensor is None for known in self._known.values()), "comes after a variable has been used"
        )
        subgraph = self._raw.others[number - 1]
        handles: dict[int, Key] = {}
        for index, record in enumerate(subgraph.operators):
            inner = replace(node, raw=record, index=index, label=f"subgraph {number}", inputs=(), outputs=())
            if record.code == "VAR_HANDLE":
                inner.require(len(record.outputs) == 1, "must have one output")
                handles[record.outputs[0]] = _key(inner)
            elif record.code == "ASSIGN_VARIABLE":
                self._assign_once(inner, record, subgraph, handles)
            else:
                inner.refuse("is not run by CALL_ONCE when compiling; VAR_HANDLE and ASSIGN_VARIABLE of constants are")

    def _assign_once(self, node: Node, record: RawOperator, subgraph: RawModel, handles: dict[int, Key]) -> None:
        node.require(len(record.inputs) == 2 and record.inputs[0] in handles, "must assign to a variable")
        value = subgraph.tensors[record.inputs[1]] if record.inputs[1] >= 0 else None
        if value is None or value.data is None:
            node.refuse("assigns what is not constant")
        key = handles[record.inputs[0]]
        self._named(key).initial = value.data

    def _read(self, node: Node) -> Node:
        """READ_VARIABLE, with the variable's tensor in place of its handle."""
        tensor = node.output()
        known = self._variable(node)
        return replace(node, inputs=(self._current(node, known, tensor),))

    def _assign(self, node: Node) -> Node:
        """ASSIGN_VARIABLE, with a tensor that stands for the variable from here on as its output."""
        node.require(len(node.inputs) == 2, f"has {len(node.inputs)} inputs, not 2")
        value, known = node.input(1), self._variable(node)
        before = self._current(node, known, value)
        if not known.assigned:  # then TFLite Micro makes room for it
            known.assigned, known.reset = True, value.quantization
        known.now = replace(before, name=self._names.unique(f"{before.name} next"), quantization=value.quantization)
        return replace(node, inputs=(value,), outputs=(known.now,), label=known.label)

    def mark(self, tensor: Tensor) -> None:
        """Where `tensor` is marked `is_variable`: at 0 after a reset, or int8 at its zero point, as TFLite Micro's."""
        if tensor.index is None or not self._raw.tensors[tensor.index].variable:
            return
        if any(tensor.index in (*operator.inputs, *operator.outputs) for operator in self._raw.operators):
            kinds = ", ".join(KINDS)
            if tensor.data is not None or tensor.dtype.name not in KINDS or tensor.size == 0:
                raise ModelError(f"tensor {tensor.index} '{tensor.label}': is marked as variable; driftc keeps {kinds}")
            initial = None if tensor.dtype == np.int8 else np.zeros(tensor.shape, tensor.dtype)
            self._known[tensor.index] = _Variable(tensor.label, initial, tensor, tensor, True, tensor.quantization)

    def updated(self, tensor: Tensor) -> Tensor | None:
        """A tensor for what the `is_variable` tensor becomes; None where `tensor` is no such."""
        known = self._known.get(-1 if tensor.index is None else tensor.index)
        if known is None or known.now is not tensor:
            return None
        known.now = replace(tensor, name=self._names.unique(f"{tensor.name} next"))
        return known.now

    def holds(self, tensor: Tensor) -> bool:
        """`tensor` is the present value of a state."""
        return any(known.now is tensor for known in self._known.values())

    def _named(self, key: Key) -> _Variable:
        return self._known.setdefault(key, _Variable(key[1].decode(errors="replace") or "variable"))

    def _variable(self, node: Node) -> _Variable:
        handle = node.raw.inputs[0] if node.raw.inputs else -1
        node.require(handle in self._handles, "has no handle that a VAR_HANDLE gives")
        return self._known[self._handles[handle]]

    def _current(self, node: Node, known: _Variable, like: Tensor) -> Tensor:
        """The variable's present value, which must have the type of `like`; defined by its first use."""
        node.require(like.dtype.name in KINDS, f"its variable holds {like.dtype.name}; driftc keeps {', '.join(KINDS)}")
        node.require(like.size > 0, f"its variable is empty: shape {list(like.shape)}")
        if known.tensor is None:
            name = self._names.unique(known.label)
            known.tensor = Tensor(name, like.shape, like.dtype, like.quantization, label=known.label)
            known.now = known.tensor
            first = known.initial
            node.require(
                first is None or (first.shape == like.shape and first.dtype == like.dtype),
                "its variable has another shape or type than its initial value",
            )
        now = known.now or known.tensor
        node.require(
            now.shape == like.shape and now.dtype == like.dtype,
            f"its variable is {now.dtype.name} {list(now.shape)} elsewhere, not {like.dtype.name} {list(like.shape)}",
        )
        return now


def _key(node: Node) -> Key:
    options = node.options("VarHandleOptions")
    return options.Container() or b"", options.SharedName() or b""


def _initial(known: _Variable) -> Array:
    """Of what is never assigned when compiling each byte is the zero point, as TFLite Micro resets it."""
    tensor, reset = known.tensor, known.reset
    assert tensor is not None
    if known.initial is not None:
        return known.initial
    if not known.assigned:
        raise ModelError(f"the model reads variable '{known.label}', to which nothing is ever assigned")
    zero = int(reset.zero_point[0]) & 0xFF if reset is not None and reset.zero_point.size else 0
    return np.full(tensor.bytes, zero, np.uint8).view(tensor.dtype).reshape(tensor.shape)
