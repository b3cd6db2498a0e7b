""".tflite -> Graph: each operator of the file becomes the Operator registered for its code, unchanged in meaning."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np

from driftc.codegen.errors import ModelError
from driftc.codegen.frontends.batch import batch_notes
from driftc.codegen.frontends.check_import import check_import
from driftc.codegen.frontends.constants import FUNCTIONS, Constants
from driftc.codegen.frontends.missing import missing_text
from driftc.codegen.frontends.tflite.constant import BY_SHAPE, folded
from driftc.codegen.frontends.tflite.node import Node
from driftc.codegen.frontends.tflite.schema import (
    LARGEST_OPERANDS,
    LARGEST_TENSOR,
    RawModel,
    RawOperator,
    RawTensor,
    read,
)
from driftc.codegen.frontends.tflite.variables import HANDLE, Variables
from driftc.codegen.graph import Graph
from driftc.codegen.names import Names, model_name
from driftc.codegen.operators import registry
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.by_sample import BySample
from driftc.codegen.passes.dequantize import dequantized
from driftc.codegen.passes.islands import islands
from driftc.codegen.tensor import Array, Tensor


def load(path: Path, name: str | None = None, title: str | None = None) -> Graph:
    """Read `path` (subgraph 0). Raises ModelError for damage and for operators or types driftc lacks.

    Shapes are settled here: an open batch is 1, and what is computed from shapes and constants alone is a constant.
    `name` is the C prefix (default: the file's stem), `title` what messages call the file.
    """
    title = title or path.name
    prefix = name or model_name(Path(title).stem)
    raw, data = read(path, title)
    try:
        walk = Walk(raw, prefix)
        operators = walk.run()
        graph = Graph(
            name=prefix,
            operators=operators,
            inputs=tuple(walk.tensors[i] for i in raw.inputs),
            outputs=tuple(walk.tensors[i] for i in raw.outputs),
            source=title,
            sha256=hashlib.sha256(data).hexdigest(),
            states=walk.variables.states,
            notes=batch_notes({raw.tensors[i].name: None for i in raw.inputs if raw.tensors[i].open}),
        )
    except ModelError as error:
        raise error.within(title) from None
    graph.check()
    try:
        return islands(graph)
    except ModelError as error:
        raise error.within(title) from None


def _tensors(raw: RawModel, names: Names) -> list[Tensor]:
    produced = {i for operator in raw.operators for i in operator.outputs} | {*raw.inputs}
    used = {i for operator in raw.operators for i in operator.inputs} | produced | {*raw.outputs}
    return [
        _tensor(names.tensor(tensor.name, i), i, tensor, used=i in used, computed=i in produced)
        for i, tensor in enumerate(raw.tensors)
    ]


INT4_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def _tensor(name: str, index: int, raw: RawTensor, *, used: bool, computed: bool) -> Tensor:
    if raw.dtype is None and used and raw.type_name != HANDLE:  # operators on handles are read by Variables
        raise ModelError(f"tensor {index} '{raw.name}': type {raw.type_name} is not supported")
    if raw.variable and used and computed:
        raise ModelError(f"tensor {index} '{raw.name}': is marked as variable, but given or computed")
    if raw.int4 and used and computed:
        raise ModelError(f"tensor {index} '{raw.name}': is int4; driftc takes it of constant weights alone")
    dtype = np.dtype(np.int8) if raw.dtype is None else raw.dtype
    data = None if computed else raw.data
    return Tensor(name, raw.shape, dtype, raw.quantization, data, raw.name, index, int4=raw.int4)


class Walk:
    """Visits the operators in the file's order, which is one in which they can be computed."""

    def __init__(self, raw: RawModel, prefix: str) -> None:
        self.raw = raw
        names = Names()
        self.tensors = _tensors(raw, names)  # those that are computed get their shape, or their value, on the way
        self.variables = Variables(raw, names)
        self._names = Names(prefix)
        self._constants = Constants()
        self._known = {*raw.inputs}  # what is given or computed so far
        self._produced = {i for operator in raw.operators for i in operator.outputs}

    def run(self) -> tuple[Operator, ...]:
        """The operators that the outputs need, in order."""
        for index in self.raw.inputs:
            self._check_input(index)
        for tensor in self.tensors:
            self.variables.mark(tensor)
        found: list[Operator | Node] = []  # a Node: an operator that driftc lacks
        for index, record in enumerate(self.raw.operators):
            node = self.variables.seen(self._node(index, record))
            if node is None:
                continue
            node.require(bool(node.outputs), "has no outputs")
            values = folded(node, self._constants)
            if values is not None:
                self._set(node, values)
            elif record.code not in registry():
                found.append(node)
            else:
                try:
                    operator = self._operator(node)
                except ModelError:  # may be for what is missing before it, which says more
                    if any(isinstance(step, Node) for step in found):
                        _refuse_missing([*found, *self._lacking(index + 1)])
                    raise
                if operator is not None:
                    found.append(operator)
        needed = self._needed(found)
        _refuse_missing(needed)
        return tuple(step for step in needed if isinstance(step, Operator))

    def _lacking(self, first: int) -> list[Node]:
        """The operators from `first` on that driftc lacks, whatever they work on."""
        able = registry().keys() | FUNCTIONS.keys() | BY_SHAPE.keys()
        rest = enumerate(self.raw.operators[first:], first)
        return [self._node(index, record) for index, record in rest if record.code not in able]

    def _check_input(self, index: int) -> None:
        tensor, raw = self.tensors[index], self.raw.tensors[index]
        if any(axis > 0 for axis in raw.open):
            shape = ["?" if axis in raw.open else n for axis, n in enumerate(raw.shape)]
            raise ModelError(
                f"input '{tensor.label}' has shape [{', '.join(map(str, shape))}]: only the batch may be left open; "
                "export the model with a fixed shape, such as keras.Input((96, 96, 3), batch_size=1)"
            )
        _check_scale(tensor)

    def _node(self, index: int, record: RawOperator) -> Node:
        outputs = tuple(self.tensors[i] for i in record.outputs)
        label = outputs[0].label if outputs else ""
        node = Node(
            raw=record,
            index=index,
            name="",
            label=label,
            inputs=tuple(None if i < 0 else self.tensors[i] for i in record.inputs),
            outputs=outputs,
            open=any(self.raw.tensors[i].open for i in record.outputs),
            updates=self._update,
        )
        for position, place in enumerate(record.inputs):
            weights = position == 1 and record.code in INT4_WEIGHTS
            taken = place < 0 or weights or not self.raw.tensors[place].int4
            node.require(taken, f"reads int4 values, which driftc takes as weights of {', '.join(INT4_WEIGHTS)} alone")
        for tensor in node.inputs:
            known = tensor is None or tensor.data is not None or tensor.index in self._known | self._produced
            known = known or (tensor is not None and self.variables.holds(tensor))
            node.require(known, f"reads '{tensor.label if tensor else ''}', which has no value and is never computed")
        for position in record.outputs:
            node.require(position not in self._known, f"computes '{self.tensors[position].label}' a second time")
            self._known.add(position)
        return node

    def _update(self, tensor: Tensor) -> Tensor | None:
        made = self.variables.updated(tensor)
        if made is not None and made.index is not None:
            self.tensors[made.index] = made  # for the operators that follow
        return made

    def _set(self, node: Node, values: Sequence[Array]) -> None:
        """The outputs of `node` are constants."""
        for number, (tensor, value) in enumerate(zip(node.outputs, values, strict=True)):
            place = node.raw.outputs[number]
            node.require(
                value.dtype == tensor.dtype,
                f"gives {value.dtype.name}, but the file says that '{tensor.label}' is {tensor.dtype.name}",
            )
            node.require(
                value.shape == tensor.shape or bool(self.raw.tensors[place].open),
                f"gives shape {list(value.shape)}, but the file says {list(tensor.shape)}",
            )
            self.tensors[place] = replace(tensor, shape=value.shape, data=value)

    def _operator(self, node: Node) -> Operator | None:
        """None where it computes constants from constants."""
        for tensor in node.outputs:
            _check_scale(tensor)
        node = replace(node, name=self._names.layer(node.label, node.raw.code))
        if all(tensor.dtype == np.float32 for tensor in node.outputs) and node.raw.code != "DEQUANTIZE":
            node = replace(node, inputs=tuple(map(_as_float, node.inputs)))
        kind, first = registry()[node.raw.code], node.optional(0)
        batch = kind.one_image and first is not None and len(first.shape) == 4 and first.shape[0] > 1
        operator = BySample.of(node, kind) if batch else kind.from_tflite(node)
        if node.open:
            operator = self._settled(node, operator)
        _check_size(node, operator)
        (operator.check_float if operator.is_float else operator.check)()
        data = [tensor.data for tensor in operator.inputs if tensor.data is not None]
        if data and len(data) == len(operator.inputs) and not operator.is_float and node.raw.outputs:
            self._set(node, operator.spec(*data))
            return None
        return operator

    def _settled(self, node: Node, operator: Operator) -> Operator:
        """With the shapes that follow from the inputs."""
        shapes = operator.infer()
        outputs = []
        for place, tensor, shape in zip(node.raw.outputs, operator.outputs, shapes, strict=False):
            bytes = prod(shape) * tensor.dtype.itemsize
            node.require(bytes <= LARGEST_TENSOR, f"shape {list(shape)} needs over {LARGEST_TENSOR >> 20} MiB")
            outputs.append(replace(tensor, shape=shape))
            self.tensors[place] = outputs[-1]
        return replace(operator, outputs=(*outputs, *operator.outputs[len(outputs) :]))  # the rest are states

    def _needed(self, steps: Sequence[Operator | Node]) -> list[Operator | Node]:
        """Without those whose results nothing needs, such as the arithmetic on shapes that became constants."""
        needed = {self.tensors[i].name for i in self.raw.outputs} | {state.next for state in self.variables.states}
        kept: list[Operator | Node] = []
        for step in reversed(steps):
            if any(tensor.name in needed for tensor in step.outputs):
                kept.append(step)
                needed.update(tensor.name for tensor in step.inputs if tensor is not None and tensor.data is None)
        return kept[::-1]


def _refuse_missing(steps: Sequence[Operator | Node]) -> None:
    missing = [(step.raw.code, step.label) for step in steps if isinstance(step, Node)]
    if missing:
        raise ModelError(missing_text(missing))


def _check_size(node: Node, operator: Operator) -> None:
    """What is planned has a size that a microcontroller could hold, and that this machine can plan for."""
    held = [tensor for tensor in (*operator.inputs, *operator.outputs) if tensor.data is None]
    size = sum(tensor.size for tensor in held)
    if size > LARGEST_OPERANDS:
        most = max(held, key=lambda tensor: tensor.size)
        node.refuse(
            f"works on {size:,} values at once, '{most.label}' {list(most.shape)} among them; driftc plans up to "
            f"{LARGEST_OPERANDS:,}, which is more than a microcontroller holds: export the model for smaller inputs, "
            "and with a batch of 1"
        )


def _check_scale(tensor: Tensor) -> None:
    """Of bytes that are computed: one scale, and a zero point that they can hold."""
    if not tensor.stands_for_reals or tensor.quantization is None:
        return
    where = f"tensor {tensor.index} '{tensor.label}'"
    zero, scale = tensor.quantization.zero_point, tensor.quantization.scale
    if scale.size != 1:
        raise ModelError(f"{where}: has {scale.size} scales; a computed tensor must have one")
    if (zero < tensor.limits[0]).any() or (zero > tensor.limits[1]).any():
        raise ModelError(f"{where}: zero point {int(zero[0])} is outside {tensor.dtype.name}")
    if (scale <= 0).any():
        raise ModelError(f"{where}: scale {float(scale[0]):g} is not positive")


def _as_float(tensor: Tensor | None) -> Tensor | None:
    """An operand of a float operator: int8 weights (of dynamic range quantisation) as the reals they stand for."""
    return tensor if tensor is None or tensor.data is None else dequantized(tensor)


def compared(graph: Graph, path: Path) -> Graph:
    """A float Graph with a note of how near it is to LiteRT. Raises ModelError where they differ."""
    from driftc.simulator.references import LitertReference

    reference = LitertReference()
    if reference.missing() is not None:
        note = 'imported: not compared with LiteRT, which is absent: pip install "driftc[sim]"'
        return replace(graph, notes=(*graph.notes, note))
    raw, _ = read(path, graph.source)
    weights = {i for operator in raw.operators if operator.code != "DEQUANTIZE" for i in operator.inputs if i >= 0}
    kinds = [raw.tensors[i].dtype for i in weights if raw.tensors[i].data is not None]
    if any(kind == np.int8 for kind in kinds):
        note = (
            "imported: weights are int8 in the file, taken for the reals that they stand for (LiteRT rounds inputs too)"
        )
        return replace(graph, notes=(*graph.notes, note))

    def run(sample: Sequence[Array]) -> list[Array]:
        (values,) = reference.run(path, [sample])
        return [values[tensor.index] for tensor in graph.outputs if tensor.index is not None]

    return check_import(graph, "LiteRT", run)
