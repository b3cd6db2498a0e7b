"""Keras 3 .keras and Keras 2 .h5 -> float Graph, layer by layer; batch normalisation stays an operator of its own."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

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
SUFFIXES = (".keras", ".h5", ".hdf5")
# What only training does.
DROPPED = frozenset(
    {"Dropout", "SpatialDropout1D", "SpatialDropout2D", "AlphaDropout", "GaussianDropout", "GaussianNoise"}
    | {"ActivityRegularization", "Identity"}
)
ACTIVATION_NAMES = {"hard_silu": "hard_swish", "swish": "silu"}


def load(path: Path, name: str | None = None, title: str | None = None) -> Graph:
    """Raises ModelError for layers that driftc lacks, ToolError where Keras is not installed."""
    title = title or path.name
    if not path.is_file():
        raise ModelError(f"{path}: cannot be read: no such file")
    keras = load_extra("tensorflow", EXTRA, title).keras
    try:
        with warnings.catch_warnings():  # of how layers were made: nothing that who compiles them could change
            warnings.simplefilter("ignore")
            model = keras.models.load_model(path, compile=False, custom_objects={"DepthwiseConv2D": _depthwise(keras)})
    except Exception as problem:  # Keras raises whatever its parts do
        raise ModelError(f"{title}: Keras cannot read it: {str(problem).strip().splitlines()[0]}") from None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    builder = FloatBuilder(name or model_name(Path(title).stem), title, digest)
    return import_model(keras, model, builder)


def import_model(keras: Any, model: Any, builder: FloatBuilder) -> Graph:
    """A Keras model that is in memory."""
    inputs = [builder.input(tensor.name, tensor.shape) for tensor in model.inputs]
    outputs = _Walk(keras, builder).model(model, inputs)
    graph = builder.graph(outputs)

    def run(samples: Sequence[Array]) -> list[Array]:
        with warnings.catch_warnings():  # of input structures, where a model names its only input
            warnings.simplefilter("ignore")
            found = model(list(samples) if len(samples) > 1 else samples[0], training=False)
        return [np.asarray(output) for output in (found if isinstance(found, list | tuple) else [found])]

    return check_import(graph, f"Keras {keras.__version__}", run)


def _depthwise(keras: Any) -> Any:
    """Keras 2 wrote `groups` into depthwise layers, which Keras 3 refuses to read."""

    class DepthwiseConv2D(keras.layers.DepthwiseConv2D):  # type: ignore[misc]
        def __init__(self, *arguments: Any, groups: int = 1, **options: Any) -> None:
            super().__init__(*arguments, **options)

    return DepthwiseConv2D


class _Walk:
    """Visits the layers of a model in an order in which they can be computed."""

    def __init__(self, keras: Any, builder: FloatBuilder) -> None:
        self.keras = keras
        self.builder = builder
        self.handlers: dict[str, Callable[[Any, Tensor], Tensor]] = {
            "Conv2D": self.conv_2d,
            "DepthwiseConv2D": self.depthwise_conv_2d,
            "SeparableConv2D": self.separable_conv_2d,
            "Conv1D": self.conv_1d,
            "DepthwiseConv1D": self.depthwise_conv_1d,
            "SeparableConv1D": self.separable_conv_1d,
            "Dense": self.dense,
            "BatchNormalization": self.batch_normalization,
            "Activation": lambda layer, x: self.activation(layer, x),
            "ReLU": self.relu,
            "LeakyReLU": self.leaky_relu,
            "Softmax": self.softmax,
            "MaxPooling2D": lambda layer, x: self.pool_2d(layer, x, "max"),
            "AveragePooling2D": lambda layer, x: self.pool_2d(layer, x, "average"),
            "MaxPooling1D": lambda layer, x: self.pool_1d(layer, x, "max"),
            "AveragePooling1D": lambda layer, x: self.pool_1d(layer, x, "average"),
            "GlobalAveragePooling2D": self.global_average,
            "GlobalAveragePooling1D": self.global_average,
            "GlobalMaxPooling2D": self.global_max,
            "GlobalMaxPooling1D": self.global_max,
            "ZeroPadding2D": self.zero_padding,
            "ZeroPadding1D": self.zero_padding,
            "Cropping2D": self.cropping,
            "Flatten": lambda layer, x: self.builder.reshape(layer.name, x, (1, -1)),
            "Reshape": lambda layer, x: self.builder.reshape(layer.name, x, (1, *layer.target_shape)),
            "Permute": lambda layer, x: self.builder.transpose(layer.name, x, (0, *layer.dims)),
            "Rescaling": self.rescaling,
            "Normalization": self.normalization,
        }
        self.joining: dict[str, Callable[[Any, Sequence[Tensor]], Tensor]] = {
            "Add": lambda layer, parts: self.chain(layer.name, Add, parts),
            "Multiply": lambda layer, parts: self.chain(layer.name, Mul, parts),
            "Subtract": lambda layer, parts: self.chain(layer.name, Sub, parts),
            "Concatenate": lambda layer, parts: self.builder.concat(layer.name, parts, layer.axis),
        }

    def model(self, model: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The outputs of `model` applied to `inputs`."""
        model = getattr(model, "_functional", None) or model  # of a Sequential
        if not hasattr(model, "_nodes_by_depth"):
            self.builder.refuse("driftc reads Sequential and functional Keras models, not subclassed ones")
        values = {id(tensor): x for tensor, x in zip(model.inputs, inputs, strict=True)}
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                if not node.is_input:
                    arguments = [values[id(tensor)] for tensor in node.input_tensors]
                    results = self.layer(node.operation, arguments)
                    values.update((id(tensor), x) for tensor, x in zip(node.outputs, results, strict=True))
        return [values[id(tensor)] for tensor in model.outputs]

    def layer(self, layer: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
        kind = type(layer).__name__
        if hasattr(layer, "_nodes_by_depth") or getattr(layer, "_functional", None) is not None:
            return self.model(layer, inputs)
        if getattr(layer, "data_format", "channels_last") not in (None, "channels_last"):
            self.builder.refuse(f"layer '{layer.name}' is channels_first; driftc reads channels_last")
        if kind in DROPPED:
            return [inputs[0]]
        if kind in self.joining and len(inputs) > 1:
            return [self.joining[kind](layer, inputs)]
        if kind in self.handlers and len(inputs) == 1:
            return [self.handlers[kind](layer, inputs[0])]
        known = ", ".join(sorted([*self.handlers, *self.joining, "Dropout"]))
        return self.builder.refuse(
            f"layer '{layer.name}' ({kind} of {len(inputs)} tensors) is not supported; driftc reads {known}"
        )

    # --- layers ---

    def conv_2d(self, layer: Any, x: Tensor) -> Tensor:
        kernel, bias = _values(layer.kernel), _bias(layer)
        window = {"stride": layer.strides, "dilation": layer.dilation_rate, "padding": _padding(layer)}
        y = self.builder.conv(layer.name, x, kernel.transpose(3, 0, 1, 2), bias, groups=layer.groups, **window)
        return self.activation(layer, y)

    def depthwise_conv_2d(self, layer: Any, x: Tensor) -> Tensor:
        return self.activation(layer, self.depthwise(layer, x, _values(layer.kernel), _bias(layer)))

    def separable_conv_2d(self, layer: Any, x: Tensor) -> Tensor:
        y = self.depthwise(layer, x, _values(layer.depthwise_kernel), None, "/depthwise")
        pointwise = _values(layer.pointwise_kernel).transpose(3, 0, 1, 2)
        return self.activation(layer, self.builder.conv(layer.name, y, pointwise, _bias(layer)))

    def depthwise(self, layer: Any, x: Tensor, kernel: Array, bias: Array | None, suffix: str = "") -> Tensor:
        """`kernel` [rows, pixels, in, filters a channel]."""
        rows, pixels, channels, filters = kernel.shape
        weights = kernel.reshape(rows, pixels, channels * filters).transpose(2, 0, 1)[..., np.newaxis]
        window = {"stride": layer.strides, "dilation": layer.dilation_rate, "padding": _padding(layer)}
        return self.builder.conv(f"{layer.name}{suffix}", x, weights, bias, groups=channels, **window)

    def conv_1d(self, layer: Any, x: Tensor) -> Tensor:
        return self.as_image(layer, x, lambda view, y: self.conv_2d(view, y))

    def depthwise_conv_1d(self, layer: Any, x: Tensor) -> Tensor:
        return self.as_image(layer, x, lambda view, y: self.depthwise_conv_2d(view, y))

    def separable_conv_1d(self, layer: Any, x: Tensor) -> Tensor:
        return self.as_image(layer, x, lambda view, y: self.separable_conv_2d(view, y))

    def pool_1d(self, layer: Any, x: Tensor, kind: Any) -> Tensor:
        return self.as_image(layer, x, lambda view, y: self.pool_2d(view, y, kind))

    def as_image(self, layer: Any, x: Tensor, apply: Callable[[Any, Tensor], Tensor]) -> Tensor:
        """A layer over [steps, channels], as one over an image of one row."""
        view = _Flat(layer)
        if getattr(layer, "padding", "") == "causal":
            before = (layer.kernel_size[0] - 1) * layer.dilation_rate[0]
            x = self.builder.pad(f"{layer.name}/causal", x, ((0, 0), (before, 0), (0, 0)))
        image = self.builder.reshape(f"{layer.name}/image", x, (1, 1, *x.shape[1:]))
        y = apply(view, image)
        return self.builder.reshape(f"{layer.name}/steps", y, (1, *y.shape[2:]))

    def dense(self, layer: Any, x: Tensor) -> Tensor:
        return self.activation(layer, self.builder.dense(layer.name, x, _values(layer.kernel).T, _bias(layer)))

    def batch_normalization(self, layer: Any, x: Tensor) -> Tensor:
        axis = layer.axis[0] if isinstance(layer.axis, list | tuple) else layer.axis
        if axis % len(x.shape) != len(x.shape) - 1:
            self.builder.refuse(f"layer '{layer.name}' normalises axis {axis}; driftc reads the last")
        return self.builder.batch_norm(
            layer.name,
            x,
            gamma=_values(layer.gamma) if layer.scale else None,
            beta=_values(layer.beta) if layer.center else None,
            mean=_values(layer.moving_mean),
            variance=_values(layer.moving_variance),
            epsilon=layer.epsilon,
        )

    def activation(self, layer: Any, x: Tensor) -> Tensor:
        function = layer.activation
        if not hasattr(function, "__name__"):  # a layer in the place of a function
            return self.layer(function, [x])[0]
        name = ACTIVATION_NAMES.get(function.__name__, function.__name__)
        alpha = 0.2 if name == "leaky_relu" else 0.0  # Keras' default, as a function by name has it
        own = "" if type(layer).__name__ == "Activation" else f"/{name}"
        return self.builder.activation(f"{layer.name}{own}", x, name, alpha)

    def relu(self, layer: Any, x: Tensor) -> Tensor:
        limit, slope, threshold = layer.max_value, float(layer.negative_slope or 0), float(layer.threshold or 0)
        if threshold != 0 or limit not in (None, 6) or (limit == 6 and slope):
            self.builder.refuse(
                f"layer '{layer.name}': ReLU of max_value {limit}, negative_slope {slope:g}, threshold {threshold:g} "
                "is not supported"
            )
        return self.builder.activation(layer.name, x, "relu6" if limit == 6 else "leaky_relu", slope)

    def leaky_relu(self, layer: Any, x: Tensor) -> Tensor:
        return self.builder.activation(layer.name, x, "leaky_relu", float(layer.negative_slope))

    def softmax(self, layer: Any, x: Tensor) -> Tensor:
        if layer.axis not in (-1, len(x.shape) - 1):
            self.builder.refuse(f"layer '{layer.name}': softmax along axis {layer.axis}; driftc reads the last")
        return self.builder.activation(layer.name, x, "softmax")

    def pool_2d(self, layer: Any, x: Tensor, kind: Any) -> Tensor:
        return self.builder.pool(layer.name, x, kind, _pair(layer.pool_size), _pair(layer.strides), _padding(layer))

    def global_average(self, layer: Any, x: Tensor) -> Tensor:
        return self.builder.mean(layer.name, x, range(1, len(x.shape) - 1), bool(layer.keepdims))

    def global_max(self, layer: Any, x: Tensor) -> Tensor:
        image = x if len(x.shape) == 4 else self.builder.reshape(f"{layer.name}/image", x, (1, *x.shape))
        size = _pair(image.shape[1:3])
        y = self.builder.pool(layer.name, image, "max", size, (1, 1), "valid")
        ones = (1,) * (len(x.shape) - 2) if layer.keepdims else ()
        return self.builder.reshape(f"{layer.name}/flat", y, (1, *ones, x.shape[-1]))

    def zero_padding(self, layer: Any, x: Tensor) -> Tensor:
        amounts = layer.padding if len(x.shape) == 4 else [layer.padding]
        return self.builder.pad(layer.name, x, ((0, 0), *(_pair(pair) for pair in amounts), (0, 0)))

    def cropping(self, layer: Any, x: Tensor) -> Tensor:
        inner = [range(a, n - b) for (a, b), n in zip(layer.cropping, x.shape[1:3], strict=True)]
        return self.builder.slice(layer.name, x, [range(1), *inner, range(x.shape[3])])

    def rescaling(self, layer: Any, x: Tensor) -> Tensor:
        channels = np.ones(x.shape[-1], np.float32)
        scale, offset = (np.asarray(value, np.float32) * channels for value in (layer.scale, layer.offset))
        return self.builder.affine(layer.name, x, scale, offset)

    def normalization(self, layer: Any, x: Tensor) -> Tensor:
        mean, variance = (np.asarray(v, np.float64) for v in (layer.mean, layer.variance))
        if layer.invert or mean.size not in (1, x.shape[-1]):
            self.builder.refuse(f"layer '{layer.name}': is inverted, or not along the last axis")
        deviation = np.broadcast_to(np.maximum(np.sqrt(variance.reshape(-1)), 1e-7), x.shape[-1:])
        return self.builder.affine(layer.name, x, 1 / deviation, -mean.reshape(-1) / deviation)

    def chain(self, label: str, kind: Any, parts: Sequence[Tensor]) -> Tensor:
        """Two at a time."""
        total = parts[0]
        for number, part in enumerate(parts[1:], 2):
            total = self.builder.binary(label if number == len(parts) else f"{label}/{number}", kind, total, part)
        return total


class _Flat:
    """A layer over steps, seen as one over an image of one row."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._layer, name)
        if name in ("kernel", "depthwise_kernel", "pointwise_kernel"):
            return _values(value)[np.newaxis]
        if name in ("strides", "dilation_rate", "pool_size"):
            return (1, *(value if isinstance(value, list | tuple) else (value,)))
        if name == "padding" and value == "causal":
            return "valid"
        return value


def _values(variable: Any) -> Array:
    return np.asarray(variable, np.float32)


def _bias(layer: Any) -> Array | None:
    return _values(layer.bias) if layer.use_bias else None


def _pair(value: Any) -> Pair:
    first, second = value if isinstance(value, list | tuple) else (value, value)
    return int(first), int(second)


def _padding(layer: Any) -> Padding:
    return "same" if layer.padding == "same" else "valid"
