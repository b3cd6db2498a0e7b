"""Frameworks that put channels first: their axes on one side, NHWC on the other, without transposes in between.

Shared by ONNX and PyTorch. A value of four axes is an image: [N, C, H, W] there, [1, H, W, C] here. Where an image is
flattened, the order of its elements differs, which the next dense layer's weights make good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

import numpy as np

from driftc.codegen.frontends.builder import Around, FloatBuilder, Padding, Pair
from driftc.codegen.graph import Array, Shape, Tensor
from driftc.codegen.operators.base import Operator, same_padding

Layout = Literal["plain", "image", "flat"]
TO_FIRST = (0, 3, 1, 2)
TO_LAST = (0, 2, 3, 1)


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor here, and the shape that the framework sees. `image` is [C, H, W] of what was flattened."""

    tensor: Tensor
    shape: Shape
    layout: Layout = "plain"
    image: Shape = ()

    def as_here(self, output: Array) -> Array:
        """The framework's result in the order of the tensor here."""
        if self.layout == "plain":
            return output
        return output.reshape(self.shape if self.layout == "image" else (1, *self.image)).transpose(TO_LAST)


class ChannelsFirst:
    """The operators of FloatBuilder in the framework's axes."""

    def __init__(self, builder: FloatBuilder) -> None:
        self.builder = builder

    def input(self, label: str, shape: Sequence[int | None], image: bool) -> Value:
        """`image`: its four axes are [N, C, H, W]."""
        if not image:
            tensor = self.builder.input(label, shape)
            return Value(tensor, tensor.shape)
        order = [shape[axis] for axis in TO_LAST]
        return self._image(self.builder.input(label, order))

    def plain(self, label: str, x: Value) -> Tensor:
        """The tensor in the framework's own order, by a transpose where it must be."""
        if x.layout == "plain":
            return x.tensor
        if x.layout == "image":
            return self.builder.transpose(f"{label}/channels_first", x.tensor, TO_FIRST)
        channels, rows, pixels = x.image
        image = self.builder.reshape(f"{label}/image", x.tensor, (1, rows, pixels, channels))
        first = self.builder.transpose(f"{label}/channels_first", image, TO_FIRST)
        return self.builder.reshape(f"{label}/flat", first, x.shape)

    # --- layers ---

    def conv(
        self,
        label: str,
        x: Value,
        weights: Array,
        bias: Array | None,
        stride: Pair,
        around: Around,
        dilation: Pair,
        groups: int,
    ) -> Value:
        """`weights` [out, in / groups, rows, pixels]."""
        self._need(label, x)
        if weights.ndim != 4:
            self.builder.refuse(f"'{label}': weights of shape {list(weights.shape)}; driftc reads two-dimensional ones")
        filters = weights.transpose(0, 2, 3, 1)
        return self._image(
            self.builder.conv(
                label, x.tensor, filters, bias, stride=stride, dilation=dilation, padding=around, groups=groups
            )
        )

    def dense(self, label: str, x: Value, weights: Array, bias: Array | None) -> Value:
        """`weights` [out, in], over the last axis."""
        if x.layout == "flat" and weights.shape[1] == prod(x.image):
            rows = weights.reshape(weights.shape[0], *x.image).transpose(0, 2, 3, 1)
            tensor = self.builder.dense(label, x.tensor, rows.reshape(weights.shape), bias)
        else:
            tensor = self.builder.dense(label, self.plain(label, x), weights, bias)
        return Value(tensor, tensor.shape)

    def batch_norm(
        self,
        label: str,
        x: Value,
        gamma: Array | None,
        beta: Array | None,
        mean: Array,
        variance: Array,
        epsilon: float,
    ) -> Value:
        if x.layout == "flat":
            gamma, beta = (None if values is None else _flat_order(values, x.image) for values in (gamma, beta))
            mean, variance = _flat_order(mean, x.image), _flat_order(variance, x.image)
        elif x.layout == "plain" and len(x.shape) != 2:
            x = self._channels_last(label, x)
        return replace(
            x,
            tensor=self.builder.batch_norm(
                label, x.tensor, gamma=gamma, beta=beta, mean=mean, variance=variance, epsilon=epsilon
            ),
        )

    def activation(self, label: str, x: Value, name: str, alpha: float = 0.0) -> Value:
        return replace(x, tensor=self.builder.activation(label, x.tensor, name, alpha))

    def softmax(self, label: str, x: Value, axis: int) -> Value:
        axis %= len(x.shape)
        if x.layout == "image" and axis == 1:
            return self.activation(label, x, "softmax")
        tensor = self.plain(label, x)
        if axis != len(x.shape) - 1:
            self.builder.refuse(f"'{label}': softmax along axis {axis} of {list(x.shape)}; driftc needs the last")
        return Value(self.builder.activation(label, tensor, "softmax"), x.shape)

    def pool(
        self, label: str, x: Value, kind: Literal["max", "average"], kernel: Pair, stride: Pair, around: Padding
    ) -> Value:
        self._need(label, x)
        return self._image(self.builder.pool(label, x.tensor, kind, kernel, stride, around))

    def average_uncounted(self, label: str, x: Value, kernel: Pair, stride: Pair, around: Around) -> Value:
        """Average pooling that leaves padding out of the mean, which .tflite knows for SAME alone."""
        axes = zip(x.shape[2:], kernel, stride, (1, 1), strict=True)
        rows, pixels = (same_padding(*axis) for axis in axes)
        if any(around) and around != (*rows, *pixels):
            self.builder.refuse(f"'{label}': average pooling that does not count padding {list(around)}")
        return self.pool(label, x, "average", kernel, stride, "same" if any(around) else around)

    def adaptive(self, label: str, x: Value, kind: Literal["max", "average"], size: Pair) -> Value:
        """Pooling to `size` rows and pixels."""
        self._need(label, x)
        if kind == "average" and size == (1, 1):
            return self.mean(label, x, (2, 3), keep_dims=True)
        (rows, pixels), (high, wide) = x.shape[2:], size
        if rows % high or pixels % wide:
            self.builder.refuse(f"'{label}': {rows} x {pixels} do not divide into {high} x {wide} equal windows")
        kernel = (rows // high, pixels // wide)
        return self.pool(label, x, kind, kernel, kernel, (0, 0, 0, 0))

    def mean(self, label: str, x: Value, axes: Sequence[int], keep_dims: bool) -> Value:
        axes = sorted(axis % len(x.shape) for axis in axes)
        if x.layout == "image" and axes == [2, 3]:
            tensor = self.builder.mean(label, x.tensor, (1, 2), keep_dims)
            return self._image(tensor) if keep_dims else Value(tensor, tensor.shape)
        tensor = self.builder.mean(label, self.plain(label, x), axes, keep_dims)
        return Value(tensor, tensor.shape)

    def binary(self, label: str, kind: type[Operator], a: Value, b: Value) -> Value:
        if (a.layout, a.image) != (b.layout, b.image) or (a.layout == "flat" and a.shape != b.shape):
            a, b = (Value(self.plain(f"{label}/{side}", v), v.shape) for side, v in (("a", a), ("b", b)))
        tensor = self.builder.binary(label, kind, a.tensor, b.tensor)
        if a.layout == "image":
            return self._image(tensor)
        return Value(tensor, tensor.shape, a.layout, a.image)

    def binary_constant(self, label: str, kind: type[Operator], x: Value, data: Array, first: bool) -> Value:
        """An operand that is a constant, in the framework's axes; `first` where it is the first operand."""
        if x.layout == "image":
            data = data.reshape((1,) * (4 - data.ndim) + data.shape).transpose(TO_LAST)
        elif x.layout == "flat" and data.size > 1:
            x = Value(self.plain(label, x), x.shape)
        data = data.reshape(data.shape[max(0, next((i for i, n in enumerate(data.shape) if n > 1), data.ndim - 1)) :])
        constant = self.builder.constant(f"{label}/constant", data)
        operands = (constant, x.tensor) if first else (x.tensor, constant)
        tensor = self.builder.binary(label, kind, *operands)
        return self._image(tensor) if x.layout == "image" else Value(tensor, tensor.shape, x.layout, x.image)

    def concat(self, label: str, parts: Sequence[Value], axis: int) -> Value:
        axis %= len(parts[0].shape)
        if all(part.layout == "image" for part in parts):
            return self._image(self.builder.concat(label, [part.tensor for part in parts], TO_LAST.index(axis)))
        tensors = [self.plain(f"{label}/{number}", part) for number, part in enumerate(parts)]
        tensor = self.builder.concat(label, tensors, axis)
        return Value(tensor, tensor.shape)

    def pad(self, label: str, x: Value, paddings: Sequence[Pair], value: float) -> Value:
        """`paddings` for every axis of the framework."""
        if x.layout == "image":
            return self._image(self.builder.pad(label, x.tensor, [paddings[axis] for axis in TO_LAST], value))
        tensor = self.builder.pad(label, self.plain(label, x), paddings, value)
        return Value(tensor, tensor.shape)

    def slice(self, label: str, x: Value, ranges: Sequence[range]) -> Value:
        if x.layout == "image":
            return self._image(self.builder.slice(label, x.tensor, [ranges[axis] for axis in TO_LAST]))
        tensor = self.builder.slice(label, self.plain(label, x), ranges)
        return Value(tensor, tensor.shape)

    def reshape(self, label: str, x: Value, shape: Shape) -> Value:
        """`shape` may hold one -1."""
        if -1 in shape:
            rest = prod(n for n in shape if n != -1)
            shape = tuple(prod(x.shape) // max(rest, 1) if n == -1 else n for n in shape)
        if shape == x.shape:
            return x
        if x.layout == "image" and len(shape) == 2:
            tensor = self.builder.reshape(label, x.tensor, shape)
            alone = x.shape[1] == 1 or x.shape[2] * x.shape[3] == 1  # one channel or one pixel: no order to mind
            return Value(tensor, shape) if alone else Value(tensor, shape, "flat", x.shape[1:])
        if x.layout == "image" and x.shape[2] * x.shape[3] == 1 and len(shape) != 4:
            return Value(self.builder.reshape(label, x.tensor, shape), shape)
        if x.layout == "flat" and shape == (1, *x.image):
            return self._image(self.builder.reshape(label, x.tensor, (1, *x.image[1:], x.image[0])))
        tensor = self.builder.reshape(label, self.plain(label, x), shape)
        return Value(tensor, shape)

    def transpose(self, label: str, x: Value, permutation: Sequence[int]) -> Value:
        order = tuple(permutation)
        if x.layout == "image" and order == TO_LAST:
            return Value(x.tensor, x.tensor.shape)
        if x.layout == "plain" and order == TO_FIRST:
            return self._image(x.tensor)
        tensor = self.builder.transpose(label, self.plain(label, x), order)
        return Value(tensor, tensor.shape)

    # --- parts ---

    def _image(self, tensor: Tensor) -> Value:
        return Value(tensor, tuple(tensor.shape[axis] for axis in TO_FIRST), "image")

    def _channels_last(self, label: str, x: Value) -> Value:
        """An image, of a value of four axes that is not one yet."""
        tensor = self.plain(label, x)
        if len(tensor.shape) != 4:
            self.builder.refuse(f"'{label}': normalises {list(x.shape)}; driftc reads [N, C] and [N, C, H, W]")
        return self._image(self.builder.transpose(f"{label}/channels_last", tensor, TO_LAST))

    def _need(self, label: str, x: Value) -> None:
        if x.layout != "image":
            self.builder.refuse(f"'{label}': needs [N, C, H, W], not {list(x.shape)}")


def _flat_order(values: Array, image: Shape) -> Array:
    """A value for each element of a flattened image of [C, H, W], in the order of [H, W, C]."""
    return np.ascontiguousarray(values.reshape(image).transpose(1, 2, 0)).reshape(-1)


def ceil_padding(around: Around, sizes: Sequence[int], kernel: Pair, stride: Pair) -> Around:
    """`around` with what `ceil_mode` adds after each axis: windows that begin inside the image are all computed."""
    found: list[int] = []
    for size, k, s, before, after in zip(sizes, kernel, stride, around[::2], around[1::2], strict=True):
        count = -(-(size + before + after - k) // s) + 1
        count -= (count - 1) * s >= size + before
        found += [before, max(after, (count - 1) * s + k - size - before)]
    return found[0], found[1], found[2], found[3]


def first_order(values: Array) -> Array:
    """An NHWC array in the framework's order."""
    return np.ascontiguousarray(values.transpose(TO_FIRST))
