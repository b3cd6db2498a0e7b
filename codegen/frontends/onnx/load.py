"""ONNX -> float Graph. Channels first becomes channels last without transposes in between."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from driftc.codegen.errors import ModelError
from driftc.codegen.frontends.builder import Around, FloatBuilder, Pair
from driftc.codegen.frontends.channels_first import ChannelsFirst, Value, ceil_padding, first_order
from driftc.codegen.frontends.check_import import check_import
from driftc.codegen.frontends.constants import Constants
from driftc.codegen.frontends.extras import load_extra
from driftc.codegen.frontends.onnx.constant import folded, shape_of
from driftc.codegen.frontends.onnx.node import attribute, fix_batch, label_of, pair, session
from driftc.codegen.graph import Array, Graph
from driftc.codegen.names import model_name
from driftc.codegen.operators.base import same_padding
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.elementwise.sub import Sub

EXTRA = "onnx"
LARGEST_FILE = 1 << 28
ACTIVATIONS = {"Relu": "relu", "HardSwish": "hard_swish", "Sigmoid": "sigmoid", "Tanh": "tanh"}
BINARY = {"Add": Add, "Sub": Sub, "Mul": Mul}
DROPPED = frozenset({"Dropout", "Identity"})
IMAGE_READERS = frozenset(
    {"Conv", "MaxPool", "AveragePool", "BatchNormalization", "GlobalAveragePool", "GlobalMaxPool"}
)


def load(path: Path, name: str | None = None, title: str | None = None) -> Graph:
    """Raises ModelError for operators that driftc lacks, ToolError where `onnx` is not installed."""
    title = title or path.name
    if not path.is_file():
        raise ModelError(f"{path}: cannot be read: no such file")
    if path.stat().st_size > LARGEST_FILE:
        raise ModelError(f"{title}: {path.stat().st_size} bytes; driftc reads models up to {LARGEST_FILE >> 20} MiB")
    onnx = load_extra("onnx", EXTRA, title)
    data = path.read_bytes()
    try:
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model)
        batches = fix_batch(model)
        model = onnx.shape_inference.infer_shapes(model)
    except Exception as problem:  # whatever its parts raise
        said = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        raise ModelError(f"{title}: onnx cannot read it: {said}") from None
    digest = hashlib.sha256(data).hexdigest()
    builder = FloatBuilder(name or model_name(Path(title).stem), title, digest)
    builder.batches.update(batches)
    return import_model(onnx, model, builder)


def import_model(onnx: Any, model: Any, builder: FloatBuilder) -> Graph:
    walk = _Walk(onnx, model, builder)
    walk.run()
    graph = builder.graph([value.tensor for value in walk.outputs])
    runner = session(onnx, model)

    def run(samples: Sequence[Array]) -> list[Array]:
        feeds = {
            name: first_order(x) if value.layout == "image" else x
            for x, (name, value) in zip(samples, walk.inputs.items(), strict=True)
        }
        found = runner.run([output.name for output in model.graph.output], feeds)
        return [value.as_here(np.asarray(output)) for output, value in zip(found, walk.outputs, strict=True)]

    return check_import(graph, f"onnx {onnx.__version__}", run)


class _Walk:
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
        self.inputs: dict[str, Value] = {}
        self.outputs: list[Value] = []
        self.gates: dict[str, str] = {}  # output of a HardSigmoid -> its input
        self.absorbed: set[str] = set()  # outputs of Adds whose work a dense layer does
        self.handlers: dict[str, Callable[[Any, str], Value]] = {
            "Conv": self.conv,
            "BatchNormalization": self.batch_norm,
            "Gemm": self.gemm,
            "MatMul": self.matmul,
            "Clip": self.clip,
            "LeakyRelu": lambda node, label: self.to.activation(
                label, self.value(node, 0), "leaky_relu", float(attribute(node, "alpha", 0.01))
            ),
            "Softmax": self.softmax,
            "MaxPool": lambda node, label: self.pool(node, label, "max"),
            "AveragePool": lambda node, label: self.pool(node, label, "average"),
            "GlobalAveragePool": lambda node, label: self.to.mean(label, self.value(node, 0), (2, 3), True),
            "GlobalMaxPool": self.global_max,
            "ReduceMean": self.reduce_mean,
            "Concat": self.concat,
            "Pad": self.pad,
            "Slice": self.slice,
            "Flatten": self.flatten,
            "Reshape": self.reshape,
            "Squeeze": self.reshape_as_inferred,
            "Unsqueeze": self.reshape_as_inferred,
            "Transpose": self.transpose,
            "HardSigmoid": self.hard_sigmoid,
            "Div": self.divide,
        }
        self.shapes: dict[str, list[int | None]] = {
            info.name: [d.dim_value if d.HasField("dim_value") else None for d in info.type.tensor_type.shape.dim]
            for info in (*model.graph.value_info, *model.graph.input, *model.graph.output)
        }

    def run(self) -> None:
        for port in self.model.graph.input:
            if port.name not in self.constants:
                self.input(port)
        for number, node in enumerate(self.model.graph.node):
            if self.constant_node(node):
                continue
            label = label_of(node) or f"{node.op_type}_{number}"
            self.values[node.output[0]] = self.node(node, label)
        for port in self.model.graph.output:
            if port.name not in self.values:
                self.builder.refuse(f"output '{port.name}' is never computed")
            self.outputs.append(self.values[port.name])

    def input(self, port: Any) -> None:
        if port.type.tensor_type.elem_type != self.onnx.TensorProto.FLOAT:
            self.builder.refuse(f"input '{port.name}' is not float32")
        shape = self.shapes[port.name]
        readers = [node for node in self.model.graph.node if port.name in node.input]
        image = len(shape) == 4 and any(node.op_type in IMAGE_READERS for node in readers)
        if len(shape) == 4 and not image:  # an image unless its first reader turns it into one
            image = not any(node.op_type == "Transpose" for node in readers)
        self.values[port.name] = self.inputs[port.name] = self.to.input(port.name, shape, image)

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

    def node(self, node: Any, label: str) -> Value:
        kind = node.op_type
        if node.domain not in ("", "ai.onnx"):
            self.builder.refuse(f"'{label}': operator {node.domain}.{kind} is not supported")
        if kind in DROPPED:
            return self.value(node, 0)
        if kind in ACTIVATIONS:
            return self.to.activation(label, self.value(node, 0), ACTIVATIONS[kind])
        if kind in BINARY:
            return self.binary(node, label, BINARY[kind])
        if kind in self.handlers:
            return self.handlers[kind](node, label)
        known = ", ".join(sorted([*self.handlers, *ACTIVATIONS, *BINARY, *DROPPED]))
        return self.builder.refuse(f"'{label}': operator {kind} is not supported; driftc reads {known}")

    # --- operands ---

    def value(self, node: Any, place: int) -> Value:
        name = node.input[place]
        if name not in self.values:
            self.builder.refuse(f"'{node.name}' ({node.op_type}): input {place} '{name}' is not computed from an input")
        return self.values[name]

    def optional(self, node: Any, place: int) -> Array | None:
        if place >= len(node.input) or not node.input[place]:
            return None
        if node.input[place] not in self.constants:
            self.builder.refuse(f"'{node.name}' ({node.op_type}): input {place} must be constant")
        return self.constants[node.input[place]]

    def constant(self, node: Any, place: int) -> Array:
        found = self.optional(node, place)
        if found is None:
            self.builder.refuse(f"'{node.name}' ({node.op_type}): input {place} is missing")
        return found

    def integers(self, node: Any, place: int, name: str) -> list[int] | None:
        """A list that old files store as an attribute, new ones as an input."""
        stored = attribute(node, name, None)
        if stored is not None:
            return [int(n) for n in stored]
        found = self.optional(node, place)
        return None if found is None else [int(n) for n in found.reshape(-1)]

    # --- operators ---

    def conv(self, node: Any, label: str) -> Value:
        x, weights = self.value(node, 0), self.constant(node, 1)
        stride, dilation = pair(node, "strides"), pair(node, "dilations")
        around = self.around(node, x, weights.shape[2:], stride, dilation)
        groups = int(attribute(node, "group", 1))
        return self.to.conv(label, x, weights, self.optional(node, 2), stride, around, dilation, groups)

    def around(self, node: Any, x: Value, kernel: Sequence[int], stride: Pair, dilation: Pair) -> Around:
        scheme = attribute(node, "auto_pad", b"NOTSET").decode()
        if scheme in ("SAME_UPPER", "SAME_LOWER"):
            axes = zip(x.shape[2:], kernel, stride, dilation, strict=True)
            rows, pixels = (same_padding(*axis) for axis in axes)
            if scheme == "SAME_LOWER":
                rows, pixels = rows[::-1], pixels[::-1]
            return (*rows, *pixels)
        pads = [int(n) for n in attribute(node, "pads", [0, 0, 0, 0])]
        if len(pads) != 4:
            self.builder.refuse(f"'{node.name}': pads {pads}; driftc reads two-dimensional windows")
        return pads[0], pads[2], pads[1], pads[3]

    def batch_norm(self, node: Any, label: str) -> Value:
        if attribute(node, "training_mode", 0):
            self.builder.refuse(f"'{label}': was exported in training mode; export the model in eval mode")
        gamma, beta, mean, variance = (self.constant(node, place) for place in range(1, 5))
        epsilon = float(attribute(node, "epsilon", 1e-5))
        return self.to.batch_norm(label, self.value(node, 0), gamma, beta, mean, variance, epsilon)

    def gemm(self, node: Any, label: str) -> Value:
        weights = self.constant(node, 1) * float(attribute(node, "alpha", 1.0))
        if attribute(node, "transA", 0):
            self.builder.refuse(f"'{label}': Gemm of a transposed input is not supported")
        bias = self.optional(node, 2)
        matrix = weights if attribute(node, "transB", 0) else weights.T
        if bias is not None:
            bias = np.broadcast_to(bias.reshape(-1) * float(attribute(node, "beta", 1.0)), (matrix.shape[0],))
        return self.to.dense(label, self.value(node, 0), matrix, bias)

    def matmul(self, node: Any, label: str) -> Value:
        weights = self.constant(node, 1)
        if weights.ndim != 2:
            self.builder.refuse(f"'{label}': MatMul by {list(weights.shape)}; driftc reads a constant matrix")
        return self.to.dense(label, self.value(node, 0), weights.T, self.bias_after(node, weights.shape[1]))

    def bias_after(self, node: Any, outputs: int) -> Array | None:
        """The bias of an Add that alone reads a MatMul; the Add then passes its input on."""
        readers = [other for other in self.model.graph.node if node.output[0] in other.input]
        leaves = any(port.name == node.output[0] for port in self.model.graph.output)
        if leaves or len(readers) != 1 or readers[0].op_type != "Add":
            return None
        other = next((name for name in readers[0].input if name != node.output[0]), "")
        found = self.constants.get(other)
        if found is None or found.size != outputs or found.shape[-1] != outputs:
            return None
        self.absorbed.add(readers[0].output[0])
        return found.reshape(-1)

    def clip(self, node: Any, label: str) -> Value:
        bounds = [self.optional(node, place) for place in (1, 2)]
        low, high = (None if b is None else float(b.reshape(-1)[0]) for b in bounds)
        low = attribute(node, "min", low)
        high = attribute(node, "max", high)
        if low != 0 or high not in (None, 6):
            self.builder.refuse(f"'{label}': clips to {low}..{high}; driftc reads 0..6 and 0..")
        return self.to.activation(label, self.value(node, 0), "relu6" if high == 6 else "relu")

    def softmax(self, node: Any, label: str) -> Value:
        return self.to.softmax(label, self.value(node, 0), int(attribute(node, "axis", -1)))

    def pool(self, node: Any, label: str, kind: Literal["max", "average"]) -> Value:
        x = self.value(node, 0)
        sizes = [int(n) for n in attribute(node, "kernel_shape", [])]
        ceiling = bool(attribute(node, "ceil_mode", 0))
        if len(sizes) != 2 or pair(node, "dilations") != (1, 1) or (ceiling and kind == "average"):
            self.builder.refuse(f"'{label}': windows of {sizes}, dilated or averaging in ceil_mode: not supported")
        kernel, stride = (sizes[0], sizes[1]), pair(node, "strides")
        around = self.around(node, x, kernel, stride, (1, 1))
        if kind == "average" and not attribute(node, "count_include_pad", 0):
            return self.to.average_uncounted(label, x, kernel, stride, around)
        if ceiling:
            around = ceil_padding(around, x.shape[2:], kernel, stride)
        return self.to.pool(label, x, kind, kernel, stride, around)

    def global_max(self, node: Any, label: str) -> Value:
        x = self.value(node, 0)
        return self.to.pool(label, x, "max", (x.shape[2], x.shape[3]), (1, 1), (0, 0, 0, 0))

    def reduce_mean(self, node: Any, label: str) -> Value:
        x = self.value(node, 0)
        axes = self.integers(node, 1, "axes") or list(range(len(x.shape)))
        return self.to.mean(label, x, axes, bool(attribute(node, "keepdims", 1)))

    def concat(self, node: Any, label: str) -> Value:
        parts = [self.value(node, place) for place in range(len(node.input))]
        return self.to.concat(label, parts, int(attribute(node, "axis", 1)))

    def pad(self, node: Any, label: str) -> Value:
        x = self.value(node, 0)
        mode = attribute(node, "mode", b"constant").decode()
        amounts = self.integers(node, 1, "pads") or []
        if mode != "constant" or len(amounts) != 2 * len(x.shape):
            self.builder.refuse(f"'{label}': pads {amounts} in mode '{mode}' are not supported")
        fill = self.optional(node, 2)
        value = float(attribute(node, "value", 0.0)) if fill is None else float(fill.reshape(-1)[0])
        half = len(amounts) // 2
        return self.to.pad(label, x, list(zip(amounts[:half], amounts[half:], strict=True)), value)

    def slice(self, node: Any, label: str) -> Value:
        x = self.value(node, 0)
        starts, ends = self.integers(node, 1, "starts") or [], self.integers(node, 2, "ends") or []
        axes = self.integers(node, 3, "axes") or list(range(len(starts)))
        steps = self.integers(node, 4, "steps") or [1] * len(starts)
        ranges = [range(n) for n in x.shape]
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
            ranges[axis] = ranges[axis][start:end:step]
        return self.to.slice(label, x, ranges)

    def flatten(self, node: Any, label: str) -> Value:
        if int(attribute(node, "axis", 1)) != 1:
            self.builder.refuse(f"'{label}': flattens from axis {attribute(node, 'axis', 1)}; driftc reads 1")
        return self.to.reshape(label, self.value(node, 0), (1, -1))

    def reshape(self, node: Any, label: str) -> Value:
        x = self.value(node, 0)
        wanted = [int(n) for n in self.constant(node, 1).reshape(-1)]
        if not attribute(node, "allowzero", 0):
            wanted = [x.shape[axis] if n == 0 else n for axis, n in enumerate(wanted)]
        if wanted and wanted[0] == -1 and -1 not in wanted[1:]:
            wanted[0] = 1
        return self.to.reshape(label, x, tuple(wanted))

    def reshape_as_inferred(self, node: Any, label: str) -> Value:
        shape = self.shapes.get(node.output[0])
        if not shape or None in shape:
            self.builder.refuse(f"'{label}' ({node.op_type}): its shape is not fixed")
        return self.to.reshape(label, self.value(node, 0), tuple(int(n) for n in shape if n is not None))

    def transpose(self, node: Any, label: str) -> Value:
        x = self.value(node, 0)
        return self.to.transpose(label, x, attribute(node, "perm", list(range(len(x.shape)))[::-1]))

    def hard_sigmoid(self, node: Any, label: str) -> Value:
        slope, offset = float(attribute(node, "alpha", 0.2)), float(attribute(node, "beta", 0.5))
        if abs(slope - 1 / 6) > 1e-6 or offset != 0.5:
            self.builder.refuse(f"'{label}': HardSigmoid is {slope:g} x + {offset:g} here; driftc reads x/6 + 0.5")
        self.gates[node.output[0]] = node.input[0]
        return self.to.activation(label, self.value(node, 0), "hard_sigmoid")

    def divide(self, node: Any, label: str) -> Value:
        by = np.asarray(self.constant(node, 1), np.float64)
        if not np.all(by):
            self.builder.refuse(f"'{label}': divides by zero")
        return self.to.binary_constant(label, Mul, self.value(node, 0), 1 / by, first=False)

    def binary(self, node: Any, label: str, kind: Any) -> Value:
        a, b = node.input
        if kind is Mul and (self.gates.get(a) == b or self.gates.get(b) == a):  # as exporters before opset 14 write it
            return self.to.activation(label, self.values[b if self.gates.get(a) == b else a], "hard_swish")
        if node.output[0] in self.absorbed:
            return self.values[a] if a in self.values else self.values[b]
        if a in self.values and b in self.values:
            return self.to.binary(label, kind, self.values[a], self.values[b])
        first = a not in self.values
        constant = np.asarray(self.constant(node, 0 if first else 1), np.float32)
        return self.to.binary_constant(label, kind, self.value(node, 1 if first else 0), constant, first)
