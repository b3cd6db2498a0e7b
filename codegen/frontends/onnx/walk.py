"""A walk over an ONNX graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from driftc.codegen.errors import ModelError
from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.frontends.builder import FloatBuilder
from driftc.codegen.frontends.channels_first import ChannelsFirst
from driftc.codegen.frontends.constants import Constants
from driftc.codegen.frontends.onnx.constant import foldable, folded, shape_of
from driftc.codegen.frontends.onnx.node import Node, label_of
from driftc.codegen.frontends.onnx.session import opset
from driftc.codegen.frontends.translators import Missing, Translators
from driftc.codegen.tensor import Array

CHANNELS_SECOND = frozenset(  # operators whose input has its channels on axis 1
    {"AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "DepthToSpace", "GlobalAveragePool", "GlobalMaxPool"}
    | {"GroupNormalization", "InstanceNormalization", "MaxPool", "Resize", "SpaceToDepth", "Upsample"}
)
ANY_AXES = frozenset({"Add", "Cast", "Clip", "Div", "Dropout", "Identity", "Mul", "Pad", "Pow", "Relu", "Sub"})
operator: Translators[Callable[[Node], Value | list[Value]]] = Translators("driftc.codegen.frontends.onnx.operators")


def refuse_unregistered(onnx: Any, model: Any, title: str) -> None:
    """Raise ModelError for operators that ONNX does not have under its own domain: its text names the first alone."""
    nodes = [node for node in model.graph.node if node.domain in ("", "ai.onnx")]
    if all(onnx.defs.has(node.op_type) for node in nodes):
        return
    missing = Missing(operator)
    for number, node in enumerate(nodes):
        if node.op_type not in operator.known and not foldable(node.op_type):
            missing.add(node.op_type, label_of(node) or f"{node.op_type}_{number}")

    def refuse(problem: str) -> None:
        raise ModelError(f"{title}: {problem}")

    missing.refuse(refuse)


class Walk:
    """Visits the nodes in the file's order, which is one in which they can be computed."""

    def __init__(self, onnx: Any, model: Any, builder: FloatBuilder) -> None:
        self.onnx = onnx
        self.model = model
        self.builder = builder
        self.to = ChannelsFirst(builder)
        self.values: dict[str, Value] = {}
        self.constants: dict[str, Array] = {
            tensor.name: np.asarray(onnx.numpy_helper.to_array(tensor)) for tensor in model.graph.initializer
        }
        self.folder = Constants()
        self.opset = opset(model)
        self.inputs: dict[str, Value] = {}
        self.outputs: list[Value] = []
        self.gates: dict[str, str] = {}  # output of a HardSigmoid -> its input
        self.replaced: dict[str, Value] = {}  # outputs that an operator several nodes before them gives
        self.absorbed: set[str] = set()  # outputs of Adds whose work a dense layer does
        self.shapes: dict[str, list[int | None]] = {
            info.name: [d.dim_value if d.HasField("dim_value") else None for d in info.type.tensor_type.shape.dim]
            for info in (*model.graph.value_info, *model.graph.input, *model.graph.output)
        }

    def run(self) -> None:
        for port in self.model.graph.input:
            if port.name not in self.constants:
                self.input(port)
        missing, unknown = Missing(operator), set[str]()
        for proto in self.model.graph.node:  # first, for translators that look ahead
            if proto.op_type == "Constant":
                self.constant_node(proto)
        for number, proto in enumerate(self.model.graph.node):
            if unknown.isdisjoint(proto.input) and self.constant_node(proto):
                continue
            node = Node(self, proto, label_of(proto) or f"{proto.op_type}_{number}")
            settled = unknown.isdisjoint(proto.input)
            if node.kind not in operator.known or not settled:
                if node.kind not in operator.known and (settled or not foldable(node.kind)):
                    missing.add(node.kind, node.label)
                unknown.update(proto.output)
                continue
            with self.builder.reading(node.label, node.kind):
                found = self.replaced.get(proto.output[0]) or operator.known[node.kind](node)
            results = found if isinstance(found, list) else [found]
            self.values.update(zip(proto.output, results, strict=False))
        missing.refuse(self.builder.refuse)
        for port in self.model.graph.output:
            if port.name not in self.values:
                self.builder.refuse(f"output '{port.name}' is never computed")
            self.outputs.append(self.to.output(port.name, self.values[port.name]))

    def input(self, port: Any) -> None:
        kinds = self.onnx.TensorProto
        if port.type.tensor_type.elem_type not in (kinds.FLOAT, kinds.INT32, kinds.INT64):
            self.builder.refuse(f"input '{port.name}' is neither float32 nor an index")
        dtype = np.dtype(np.float32 if port.type.tensor_type.elem_type == kinds.FLOAT else np.int32)
        shape = self.shapes[port.name]
        image = len(shape) > 2 and self.channels_second(port.name)
        if len(shape) == 4 and not image:  # an image unless its first reader turns it into one
            image = not any(node.op_type == "Transpose" for node in self.readers(port.name))
        self.values[port.name] = self.inputs[port.name] = self.to.input(port.name, shape, image, dtype)

    def readers(self, name: str) -> list[Any]:
        return [node for node in self.model.graph.node if name in node.input]

    def channels_second(self, name: str) -> bool:
        """True where an operator that needs them there reads the value, as it is or after arithmetic."""
        return any(
            node.op_type in CHANNELS_SECOND or (node.op_type in ANY_AXES and self.channels_second(node.output[0]))
            for node in self.readers(name)
        )

    def constant_node(self, node: Any) -> bool:
        """Compute what depends on constants and shapes alone."""
        if node.op_type in ("Shape", "Size") and node.input[0] in self.values:
            shape = self.values[node.input[0]].shape
            self.constants[node.output[0]] = shape_of(node, shape, self.folder)[0]
            return True
        if node.op_type != "Constant" and not (node.input and all(n in self.constants or not n for n in node.input)):
            return False
        operands = [self.constants.get(name) for name in node.input]
        try:
            made = folded(node, operands, self.folder)
        except ValueError as problem:
            self.builder.refuse(f"'{node.name}' ({node.op_type}) of constants cannot be computed: {problem}")
        if made is not None:
            self.constants.update(zip(node.output, made, strict=True))
            return True
        if node.domain not in ("", "ai.onnx"):
            return False
        from onnx.reference import ReferenceEvaluator

        helper = self.onnx.helper
        given = {name: self.constants[name] for name in node.input if name}
        ports = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(data.dtype), data.shape)
            for name, data in given.items()
        ]
        results = [helper.make_empty_tensor_value_info(name) for name in node.output]
        graph = helper.make_graph([node], "constant", ports, results)
        small = helper.make_model(graph, opset_imports=self.model.opset_import)
        try:
            found = ReferenceEvaluator(small).run(None, given)
        except Exception as problem:  # whatever the operator raises
            self.builder.refuse(f"'{node.name}' ({node.op_type}) of constants cannot be computed: {problem}")
        self.constants.update((name, np.asarray(value)) for name, value in zip(node.output, found, strict=True))
        return True
