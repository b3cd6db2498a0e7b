"""Networks from float weights, quantised as a converter would: scales come from the values seen on sample inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.builder import ModelBuilder
from models.core import Pair, pair, window
from models.schema import Activation, Padding, Shape, Tensor

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Node:
    """A tensor and the real values it takes on the calibration samples (first axis = samples)."""

    tensor: Tensor
    values: Floats


class CalibratedBuilder:
    """Layers with seeded random weights. Weights are int8 per channel, activations int8 over the range seen."""

    def __init__(self, seed: int, samples: int = 4) -> None:
        self.model = ModelBuilder()
        self._random = np.random.default_rng(seed)
        self._samples = samples

    def input(self, name: str, shape: Shape) -> Node:
        """An input of standard normal values."""
        values = self._random.normal(size=(self._samples, *shape[1:]))
        scale, zero_point = _range(values)
        return Node(self.model.input(name, shape, scale=scale, zero_point=zero_point), values)

    def conv_2d(
        self,
        x: Node,
        channels: int,
        size: Pair,
        *,
        stride: Pair = 1,
        padding: Padding = "SAME",
        activation: Activation = Activation.RELU,
        name: str | None = None,
    ) -> Node:
        height, width = pair(size)
        weights = self._weights((channels, height, width, x.tensor.shape[3]), fan_in=height * width * x.tensor.shape[3])
        patches = _patches(x.values, (height, width), pair(stride), padding)
        bias = self._random.normal(scale=0.1, size=channels)
        values = _activate(np.einsum("nyxhwi,ohwi->nyxo", patches, weights) + bias, activation)
        quantized, scales = _quantize_weights(weights, axis=0)
        scale, zero_point = _range(values)
        y = self.model.conv_2d(
            x.tensor,
            quantized,
            _quantize_bias(bias, x.tensor, scales),
            weight_scale=scales,
            stride=stride,
            padding=padding,
            activation=activation,
            out_scale=scale,
            out_zero_point=zero_point,
            name=name,
        )
        return Node(y, values)

    def depthwise_conv_2d(
        self,
        x: Node,
        size: Pair,
        *,
        stride: Pair = 1,
        padding: Padding = "SAME",
        activation: Activation = Activation.RELU,
        name: str | None = None,
    ) -> Node:
        height, width = pair(size)
        weights = self._weights((1, height, width, x.tensor.shape[3]), fan_in=height * width)
        patches = _patches(x.values, (height, width), pair(stride), padding)
        bias = self._random.normal(scale=0.1, size=x.tensor.shape[3])
        values = _activate(np.einsum("nyxhwc,hwc->nyxc", patches, weights[0]) + bias, activation)
        quantized, scales = _quantize_weights(weights, axis=3)
        scale, zero_point = _range(values)
        y = self.model.depthwise_conv_2d(
            x.tensor,
            quantized,
            _quantize_bias(bias, x.tensor, scales),
            weight_scale=scales,
            stride=stride,
            padding=padding,
            activation=activation,
            out_scale=scale,
            out_zero_point=zero_point,
            name=name,
        )
        return Node(y, values)

    def fully_connected(
        self, x: Node, outputs: int, *, activation: Activation = Activation.NONE, name: str | None = None
    ) -> Node:
        """Weights are quantised per tensor, as converters did for years."""
        flat = x.values.reshape(len(x.values), -1)
        weights = self._weights((outputs, flat.shape[1]), fan_in=flat.shape[1])
        bias = self._random.normal(scale=0.1, size=outputs)
        values = _activate(flat @ weights.T + bias, activation)
        quantized, scales = _quantize_weights(weights, axis=None)
        scale, zero_point = _range(values)
        y = self.model.fully_connected(
            x.tensor,
            quantized,
            _quantize_bias(bias, x.tensor, scales),
            weight_scale=scales,
            activation=activation,
            out_scale=scale,
            out_zero_point=zero_point,
            name=name,
        )
        return Node(y, values)

    def add(self, a: Node, b: Node, *, activation: Activation = Activation.NONE, name: str | None = None) -> Node:
        values = _activate(a.values + b.values, activation)
        scale, zero_point = _range(values)
        y = self.model.add(
            a.tensor, b.tensor, activation=activation, out_scale=scale, out_zero_point=zero_point, name=name or "add"
        )
        return Node(y, values)

    def average_pool_2d(self, x: Node, size: Pair, *, name: str = "average_pool") -> Node:
        """Without overlap or padding."""
        patches = _patches(x.values, pair(size), pair(size), "VALID")
        return Node(self.model.average_pool_2d(x.tensor, size, name=name), patches.mean(axis=(3, 4)))

    def reshape(self, x: Node, shape: Shape, *, name: str | None = None) -> Node:
        return Node(self.model.reshape(x.tensor, shape, name=name), x.values.reshape(len(x.values), *shape[1:]))

    def softmax(self, x: Node, *, name: str | None = None) -> Node:
        exponents = np.exp(x.values - x.values.max(axis=-1, keepdims=True))
        return Node(self.model.softmax(x.tensor, name=name), exponents / exponents.sum(axis=-1, keepdims=True))

    def build(self, *outputs: Node) -> bytes:
        self.model.output(*(node.tensor for node in outputs))
        return self.model.build()

    def _weights(self, shape: Shape, fan_in: int) -> Floats:
        return self._random.normal(scale=np.sqrt(2 / fan_in), size=shape)


def _range(values: Floats) -> tuple[float, int]:
    """Scale and zero point of int8 over the values seen; zero is always representable."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    scale = float(np.float32((high - low) / 255 or 1.0))
    return scale, int(np.clip(round(-128 - low / scale), -128, 127))


def _quantize_weights(weights: Floats, axis: int | None) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric int8, by index of `axis` or for the whole tensor."""
    others = tuple(number for number in range(weights.ndim) if number != axis)
    largest = np.abs(weights).max(axis=others if axis is not None else None, keepdims=True)
    scales = (largest / 127).astype(np.float32)
    return np.clip(np.rint(weights / scales), -127, 127).astype(np.int8), scales.ravel()


def _quantize_bias(bias: Floats, x: Tensor, scales: NDArray[np.float32]) -> NDArray[np.int32]:
    return np.rint(bias / (x.scale[0] * scales.astype(np.float64))).astype(np.int32)


def _activate(values: Floats, activation: Activation) -> Floats:
    if activation is Activation.RELU:
        return np.maximum(values, 0)
    return np.clip(values, 0, 6) if activation is Activation.RELU6 else values


def _patches(values: Floats, size: tuple[int, int], stride: tuple[int, int], padding: Padding) -> Floats:
    """Windows as samples x rows x pixels x height x width x channels, zeros beyond the border."""
    extents = window(values.shape, size, stride, (1, 1), padding)
    margins = [(0, 0)]
    for extent, out, kernel, step in zip(values.shape[1:3], extents, size, stride, strict=True):
        total = max((out - 1) * step + kernel - extent, 0) if padding == "SAME" else 0
        margins.append((total // 2, total - total // 2))
    padded = np.pad(values, [*margins, (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, size, axis=(1, 2))
    return windows[:, :: stride[0], :: stride[1]].transpose(0, 1, 2, 4, 5, 3)
