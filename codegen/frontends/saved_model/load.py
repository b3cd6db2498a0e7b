"""A TensorFlow SavedModel folder -> float Graph: its signature `serving_default`, frozen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from driftc.codegen.errors import ModelError
from driftc.codegen.frontends.builder import FloatBuilder, Padding, Pair
from driftc.codegen.frontends.check_import import check_import
from driftc.codegen.frontends.extras import load_extra
from driftc.codegen.graph import Array, Graph, Tensor
from driftc.codegen.names import model_name
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.elementwise.sub import Sub

EXTRA = "keras"
SIGNATURE = "serving_default"
ACTIVATIONS = {"Relu": "relu", "Relu6": "relu6", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softmax": "softmax"}
BINARY = {"Add": Add, "AddV2": Add, "Sub": Sub, "Mul": Mul}
DROPPED = frozenset({"Identity", "IdentityN", "StopGradient", "PreventGradient", "CheckNumerics", "EnsureShape"})
# Parts of an operation's path that functions calling functions put before the layer's own.
CALLS = ("StatefulPartitionedCall", "PartitionedCall")


def load(path: Path, name: str | None = None, title: str | None = None) -> Graph:
    """Raises ModelError for operations that driftc lacks, ToolError where TensorFlow is not installed."""
    title = title or path.name
    tensorflow = load_extra("tensorflow", EXTRA, title)
    try:
        function, kept = _frozen(tensorflow, str(path))
    except Exception as problem:  # whatever its parts raise
        said = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        raise ModelError(f"{title}: TensorFlow cannot read it: {said}") from None
    digest = hashlib.sha256((path / "saved_model.pb").read_bytes()).hexdigest()
    builder = FloatBuilder(name or model_name(path.stem), title, digest)
    walk = _Walk(tensorflow, function, builder)
    walk.run()
    graph = builder.graph(walk.outputs)

    def run(samples: Sequence[Array]) -> list[Array]:
        found = function(*(tensorflow.constant(sample) for sample in samples))
        return [np.asarray(output) for output in (found if isinstance(found, list | tuple) else [found])]

    checked = check_import(graph, f"TensorFlow {tensorflow.__version__}", run)
    del kept
    return checked


def _frozen(tensorflow: Any, path: str) -> tuple[Any, Any]:
    """The signature as one function of constants, and what must stay alive meanwhile."""
    from tensorflow.python.framework import convert_to_constants

    freeze = convert_to_constants.convert_variables_to_constants_v2
    tensorflow.get_logger().setLevel("ERROR")
    try:
        loaded = tensorflow.saved_model.load(path)
    except AttributeError:  # optimisers of old versions, which the new loader cannot restore
        return freeze(_through_session(tensorflow, path)), None
    if SIGNATURE not in loaded.signatures:
        raise ModelError(f"has no signature '{SIGNATURE}', but {', '.join(loaded.signatures) or 'none'}")
    return freeze(loaded.signatures[SIGNATURE]), loaded


def _through_session(tensorflow: Any, path: str) -> Any:
    from tensorflow.python.framework import convert_to_constants

    v1 = tensorflow.compat.v1
    with tensorflow.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        signature = v1.saved_model.load(session, ["serve"], path).signature_def[SIGNATURE]
        inputs, outputs = ([port.name for port in ports.values()] for ports in (signature.inputs, signature.outputs))
        frozen = convert_to_constants.convert_variables_to_constants_from_session_graph(
            session, graph.as_graph_def(), [name.split(":")[0] for name in outputs]
        )
    wrapped = v1.wrap_function(lambda: tensorflow.import_graph_def(frozen, name=""), [])
    return wrapped.prune(inputs, outputs)


class _Walk:
    """Visits the operations of the frozen function in the order in which they were made."""

    def __init__(self, tensorflow: Any, function: Any, builder: FloatBuilder) -> None:
        self.tensorflow = tensorflow
        self.function = function
        self.builder = builder
        self.values: dict[str, Tensor] = {}
        self.constants: dict[str, Array] = {}
        self.biased: set[str] = set()  # operations whose work the layer before them does
        self.session = tensorflow.compat.v1.Session(graph=function.graph)
        self.outputs: list[Tensor] = []
        self.handlers: dict[str, Callable[[Any, str], Tensor]] = {
            "Conv2D": self.conv,
            "DepthwiseConv2dNative": self.depthwise,
            "MatMul": self.dense,
            "BiasAdd": self.bias,
            "FusedBatchNorm": self.batch_norm,
            "FusedBatchNormV2": self.batch_norm,
            "FusedBatchNormV3": self.batch_norm,
            "LeakyRelu": lambda operation, label: self.builder.activation(
                label, self.value(operation, 0), "leaky_relu", float(operation.get_attr("alpha"))
            ),
            "MaxPool": lambda operation, label: self.pool(operation, label, "max"),
            "AvgPool": lambda operation, label: self.pool(operation, label, "average"),
            "RealDiv": lambda operation, label: self.builder.affine(
                label, self.value(operation, 0), np.atleast_1d(1 / self.constant(operation, 1)), np.zeros(1)
            ),
            "Mean": self.mean,
            "Max": self.global_max,
            "Pad": self.pad,
            "PadV2": self.pad,
            "ConcatV2": self.concat,
            "Reshape": self.reshape,
            "Squeeze": self.reshape,
            "ExpandDims": self.reshape,
            "Transpose": self.transpose,
        }

    def run(self) -> None:
        for tensor in self.function.inputs:
            if tensor.dtype.name == "float32":
                self.values[tensor.name] = self.builder.input(self.label(tensor.op), tensor.shape.as_list())
        for operation in self.function.graph.get_operations():
            self.operation(operation)
        for tensor in self.function.outputs:
            if tensor.name not in self.values:
                self.builder.refuse(f"output '{tensor.name}' is never computed from an input")
            self.outputs.append(self.values[tensor.name])

    def operation(self, operation: Any) -> None:
        kind = operation.type
        if kind in ("Placeholder", "NoOp"):
            return
        if kind in DROPPED:
            for source, result in zip(operation.inputs, operation.outputs, strict=True):
                if source.name in self.values:
                    self.values[result.name] = self.values[source.name]
            return
        if not any(tensor.name in self.values for tensor in operation.inputs):
            return  # of constants: computed when it is needed
        label = self.label(operation)
        if kind == "Shape":
            self.constants[operation.outputs[0].name] = np.array(self.value(operation, 0).shape, np.int64)
        elif kind in ACTIVATIONS:
            found = self.builder.activation(label, self.value(operation, 0), ACTIVATIONS[kind])
            self.values[operation.outputs[0].name] = found
        elif kind in BINARY:
            self.values[operation.outputs[0].name] = self.binary(operation, label)
        elif kind in self.handlers:
            self.values[operation.outputs[0].name] = self.handlers[kind](operation, label)
        else:
            known_kinds = ", ".join(sorted([*self.handlers, *ACTIVATIONS, *BINARY, *DROPPED]))
            self.builder.refuse(f"'{label}': operation {kind} is not supported; driftc reads {known_kinds}")

    def fetch(self, name: str) -> Array | None:
        """The value of what depends on constants alone, wherever in the order it stands; None where it does not."""
        if name not in self.constants:
            try:
                self.constants[name] = np.asarray(self.session.run(name))
            except self.tensorflow.errors.InvalidArgumentError:  # a placeholder was asked for its value
                return None
        return self.constants[name]

    # --- operands ---

    def label(self, operation: Any) -> str:
        """'StatefulPartitionedCall/net/conv2d/Conv2D' gives 'net/conv2d'."""
        parts = [part for part in operation.name.split("/") if not part.startswith(CALLS)]
        for _ in range(2 if parts[-2:-1] == ["batchnorm"] else 1):
            if len(parts) > 1:
                parts.pop()
        return "/".join(parts) or str(operation.name)

    def value(self, operation: Any, place: int) -> Tensor:
        name = operation.inputs[place].name
        if name not in self.values:
            self.builder.refuse(f"'{operation.name}': input {place} '{name}' is not computed from an input")
        return self.values[name]

    def constant(self, operation: Any, place: int) -> Array:
        found = self.fetch(operation.inputs[place].name)
        if found is None:
            self.builder.refuse(f"'{operation.name}': input {place} must be constant")
        return found

    def pair(self, operation: Any, name: str) -> Pair:
        values = operation.get_attr(name)
        return int(values[1]), int(values[2])

    def padding(self, operation: Any) -> Padding:
        layout = operation.get_attr("data_format")
        if layout not in (b"NHWC", "NHWC"):
            self.builder.refuse(f"'{operation.name}': data format {layout!r}; driftc reads NHWC")
        scheme = operation.get_attr("padding")
        scheme = scheme.decode() if isinstance(scheme, bytes) else scheme
        if scheme == "EXPLICIT":
            pads = [int(n) for n in operation.get_attr("explicit_paddings")]
            return pads[2], pads[3], pads[4], pads[5]
        return "same" if scheme == "SAME" else "valid"

    # --- operations ---

    def conv(self, operation: Any, label: str) -> Tensor:
        x, kernel = self.value(operation, 0), self.constant(operation, 1)
        return self.builder.conv(
            label,
            x,
            kernel.transpose(3, 0, 1, 2),
            self.bias_after(operation),
            stride=self.pair(operation, "strides"),
            dilation=self.pair(operation, "dilations"),
            padding=self.padding(operation),
            groups=x.shape[3] // kernel.shape[2],
        )

    def depthwise(self, operation: Any, label: str) -> Tensor:
        kernel = self.constant(operation, 1)
        rows, pixels, channels, filters = kernel.shape
        weights = kernel.reshape(rows, pixels, channels * filters).transpose(2, 0, 1)[..., np.newaxis]
        return self.builder.conv(
            label,
            self.value(operation, 0),
            weights,
            self.bias_after(operation),
            stride=self.pair(operation, "strides"),
            dilation=self.pair(operation, "dilations"),
            padding=self.padding(operation),
            groups=channels,
        )

    def dense(self, operation: Any, label: str) -> Tensor:
        if operation.get_attr("transpose_a"):
            self.builder.refuse(f"'{label}': MatMul of a transposed input is not supported")
        weights = self.constant(operation, 1)
        matrix = weights if operation.get_attr("transpose_b") else weights.T
        return self.builder.dense(label, self.value(operation, 0), matrix, self.bias_after(operation))

    def decomposed_norm(self, operation: Any, label: str) -> Tensor | None:
        """tf.nn.batch_normalization, by the names it gives: x * mul + (beta - mean * mul), mul = gamma * rsqrt(...)."""
        prefix, _, last = operation.name.rpartition("/")
        if not prefix.endswith("batchnorm") or last not in ("mul_1", "add_1"):
            return None
        if last == "mul_1":  # add_1 does all of it
            return next((self.values[t.name] for t in operation.inputs if t.name in self.values), None)
        graph = self.function.graph
        found: dict[str, list[Array | None]] = {}
        for part in ("add", "mul", "mul_2", "sub"):
            inputs = graph.get_operation_by_name(f"{prefix}/{part}").inputs
            found[part] = [self.fetch(tensor.name) for tensor in inputs]
        variance, epsilon = found["add"]
        gamma, mean, beta = found["mul"][1], found["mul_2"][0], found["sub"][0]
        if variance is None or epsilon is None or mean is None or gamma is None or beta is None:
            self.builder.refuse(f"'{label}': a batch normalisation without scale or offset is not supported")
        x = next(self.values[t.name] for t in operation.inputs if t.name in self.values)
        return self.builder.batch_norm(
            label, x, gamma=gamma, beta=beta, mean=mean, variance=variance, epsilon=float(epsilon)
        )

    def bias_after(self, operation: Any) -> Array | None:
        """The bias of a BiasAdd that alone reads the result; the BiasAdd then passes its input on."""
        readers = operation.outputs[0].consumers()
        if len(readers) != 1 or readers[0].type not in ("BiasAdd", "AddV2", "Add"):
            return None
        other = next((t.name for t in readers[0].inputs if t.name != operation.outputs[0].name), "")
        found = self.fetch(other) if other else None
        if found is None or found.reshape(-1).size != operation.outputs[0].shape[-1] or found.shape[-1] != found.size:
            return None
        self.biased.add(readers[0].name)
        return found.reshape(-1)

    def bias(self, operation: Any, label: str) -> Tensor:
        x = self.value(operation, 0)
        if operation.name in self.biased:
            return x
        return self.builder.affine(label, x, np.ones(1), self.constant(operation, 1))

    def batch_norm(self, operation: Any, label: str) -> Tensor:
        if operation.get_attr("is_training"):
            self.builder.refuse(f"'{label}': was saved in training mode")
        gamma, beta, mean, variance = (self.constant(operation, place) for place in range(1, 5))
        return self.builder.batch_norm(
            label,
            self.value(operation, 0),
            gamma=gamma,
            beta=beta,
            mean=mean,
            variance=variance,
            epsilon=float(operation.get_attr("epsilon")),
        )

    def pool(self, operation: Any, label: str, kind: Literal["max", "average"]) -> Tensor:
        kernel, stride = self.pair(operation, "ksize"), self.pair(operation, "strides")
        return self.builder.pool(label, self.value(operation, 0), kind, kernel, stride, self.padding(operation))

    def mean(self, operation: Any, label: str) -> Tensor:
        x = self.value(operation, 0)
        axes = [int(n) % len(x.shape) for n in self.constant(operation, 1).reshape(-1)]
        return self.builder.mean(label, x, axes, bool(operation.get_attr("keep_dims")))

    def global_max(self, operation: Any, label: str) -> Tensor:
        x = self.value(operation, 0)
        axes = sorted(int(n) % len(x.shape) for n in self.constant(operation, 1).reshape(-1))
        if len(x.shape) != 4 or axes != [1, 2]:
            self.builder.refuse(f"'{label}': the largest along axes {axes}; driftc reads that of an image")
        y = self.builder.pool(label, x, "max", (x.shape[1], x.shape[2]), (1, 1), "valid")
        keep = bool(operation.get_attr("keep_dims"))
        return y if keep else self.builder.reshape(f"{label}/flat", y, (1, x.shape[3]))

    def pad(self, operation: Any, label: str) -> Tensor:
        amounts = [(int(a), int(b)) for a, b in self.constant(operation, 1)]
        fill = float(self.constant(operation, 2)) if operation.type == "PadV2" else 0.0
        return self.builder.pad(label, self.value(operation, 0), amounts, fill)

    def concat(self, operation: Any, label: str) -> Tensor:
        last = len(operation.inputs) - 1
        parts = [self.value(operation, place) for place in range(last)]
        return self.builder.concat(label, parts, int(self.constant(operation, last)))

    def reshape(self, operation: Any, label: str) -> Tensor:
        """To the shape that TensorFlow inferred, where it did; else to the constant that is given."""
        x, shape = self.value(operation, 0), operation.outputs[0].shape
        inner = shape.as_list()[1:] if shape.rank else [None]
        if None not in inner:
            return self.builder.reshape(label, x, (1, *(int(n) for n in inner if n)))
        return self.builder.reshape(label, x, (1, *(int(n) for n in self.constant(operation, 1).reshape(-1)[1:])))

    def transpose(self, operation: Any, label: str) -> Tensor:
        return self.builder.transpose(label, self.value(operation, 0), [int(n) for n in self.constant(operation, 1)])

    def binary(self, operation: Any, label: str) -> Tensor:
        if operation.name in self.biased:
            return next(self.values[t.name] for t in operation.inputs if t.name in self.values)
        normalised = self.decomposed_norm(operation, label)
        if normalised is not None:
            return normalised
        operands = [
            self.values[t.name]
            if t.name in self.values
            else self.builder.constant(f"{label}/constant", self.constant(operation, place))
            for place, t in enumerate(operation.inputs)
        ]
        return self.builder.binary(label, BINARY[operation.type], operands[0], operands[1])
