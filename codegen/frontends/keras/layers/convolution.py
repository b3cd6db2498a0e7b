"""Convolutions over images and over steps, and dense layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from driftc.codegen.frontends.axes.value import Value, in_order
from driftc.codegen.frontends.channels_first import ChannelsFirst
from driftc.codegen.frontends.keras.layers.activation import activated
from driftc.codegen.frontends.keras.walk import Walk, bias, layer, padding, pair, values
from driftc.codegen.tensor import Array, Tensor


@layer("Conv2D")
def conv_2d(walk: Walk, of: Any, x: Tensor) -> Tensor:
    window = {"stride": of.strides, "dilation": of.dilation_rate, "padding": padding(of)}
    filters = values(of.kernel).transpose(3, 0, 1, 2)
    return activated(walk, of, walk.builder.conv(of.name, x, filters, bias(of), groups=of.groups, **window))


@layer("DepthwiseConv2D")
def depthwise_conv_2d(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return activated(walk, of, _depthwise(walk, of, x, values(of.kernel), bias(of)))


@layer("SeparableConv2D")
def separable_conv_2d(walk: Walk, of: Any, x: Tensor) -> Tensor:
    y = _depthwise(walk, of, x, values(of.depthwise_kernel), None, "/depthwise")
    pointwise = values(of.pointwise_kernel).transpose(3, 0, 1, 2)
    return activated(walk, of, walk.builder.conv(of.name, y, pointwise, bias(of)))


def _depthwise(walk: Walk, of: Any, x: Tensor, kernel: Array, offsets: Array | None, suffix: str = "") -> Tensor:
    """`kernel` [rows, pixels, in, filters a channel]."""
    rows, pixels, channels, filters = kernel.shape
    weights = kernel.reshape(rows, pixels, channels * filters).transpose(2, 0, 1)[..., np.newaxis]
    window = {"stride": of.strides, "dilation": of.dilation_rate, "padding": padding(of)}
    return walk.builder.conv(f"{of.name}{suffix}", x, weights, offsets, groups=channels, **window)


@layer("Conv1D")
def conv_1d(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return as_image(walk, of, x, conv_2d)


@layer("DepthwiseConv1D")
def depthwise_conv_1d(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return as_image(walk, of, x, depthwise_conv_2d)


@layer("SeparableConv1D")
def separable_conv_1d(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return as_image(walk, of, x, separable_conv_2d)


@layer("Conv2DTranspose")
def conv_2d_transpose(walk: Walk, of: Any, x: Tensor) -> Tensor:
    kernel = values(of.kernel)  # [rows, pixels, out, in]
    stride, dilation = pair(of.strides), pair(of.dilation_rate)
    wanted = of.compute_output_shape(x.shape)[1:3]
    crop = []
    for n, s, d, k, extent in zip(x.shape[1:3], stride, dilation, kernel.shape, wanted, strict=False):
        over = (n - 1) * s + (k - 1) * d + 1 - int(extent)
        before = max(over, 0) // 2 if padding(of) == "same" else 0
        crop.append((before, over - before))
    filters = kernel.transpose(2, 0, 1, 3)
    y = walk.builder.transpose_conv(
        of.name, x, filters, bias(of), stride=stride, dilation=dilation, crop=(crop[0], crop[1])
    )
    return activated(walk, of, y)


@layer("Conv1DTranspose")
def conv_1d_transpose(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return as_image(walk, of, x, conv_2d_transpose)


@layer("Dense")
def dense(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return activated(walk, of, walk.builder.dense(of.name, x, values(of.kernel).T, bias(of)))


@layer("EinsumDense")
def einsum_dense(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """A letter an axis, none twice in one operand."""
    y = einsum(walk, f"{of.name}/product" if of.bias is not None else of.name, of.equation, [x, values(of.kernel)])
    if of.bias is not None:
        y = walk.builder.affine(of.name, y, np.ones(1), values(of.bias))
    return activated(walk, of, y)


def einsum(walk: Walk, label: str, equation: str, operands: Sequence[Tensor | Array]) -> Tensor:
    """Of tensors and constants."""
    to = ChannelsFirst(walk.builder)
    given = [Value(x, in_order(len(x.shape))) if isinstance(x, Tensor) else x for x in operands]
    letters = "".join(letter for letter in "BNZYXWVUTS" if letter not in equation)
    term = equation.partition("->")[0].split(",")[0]
    rest = len(operands[0].shape) - len(term.replace("...", ""))
    y = to.einsum(label, equation.replace("...", letters[:rest]), given)
    return to.plain(f"{label}/order", y)


def as_image(walk: Walk, of: Any, x: Tensor, apply: Callable[[Walk, Any, Tensor], Tensor]) -> Tensor:
    """A layer over [steps, channels], as one over an image of one row."""
    if getattr(of, "padding", "") == "causal":
        before = (of.kernel_size[0] - 1) * of.dilation_rate[0]
        x = walk.builder.pad(f"{of.name}/causal", x, ((0, 0), (before, 0), (0, 0)))
    image = walk.builder.reshape(f"{of.name}/image", x, (1, 1, *x.shape[1:]))
    y = apply(walk, _Flat(of), image)
    return walk.builder.reshape(f"{of.name}/steps", y, (1, *y.shape[2:]))


class _Flat:
    """A layer over steps, seen as one over an image of one row."""

    def __init__(self, of: Any) -> None:
        self._of = of

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._of, name)
        if name == "compute_output_shape":
            return lambda shape: (shape[0], 1, *value((shape[0], *shape[2:]))[1:])
        if name in ("kernel", "depthwise_kernel", "pointwise_kernel"):
            return values(value)[np.newaxis]
        if name in ("strides", "dilation_rate", "pool_size"):
            return (1, *(value if isinstance(value, list | tuple) else (value,)))
        if name == "padding" and value == "causal":
            return "valid"
        return value
