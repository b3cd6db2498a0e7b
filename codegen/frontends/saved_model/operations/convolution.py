"""Convolutions and dense layers, with the bias that TensorFlow adds behind them."""

from __future__ import annotations

import numpy as np

from driftc.codegen.frontends.saved_model.operation import Operation
from driftc.codegen.frontends.saved_model.walk import operation
from driftc.codegen.tensor import Array, Tensor


@operation("Conv2D")
def conv(found: Operation) -> Tensor:
    x, kernel = found.value(0), found.constant(1)
    return _conv(found, x, kernel.transpose(3, 0, 1, 2), x.shape[3] // kernel.shape[2])


@operation("DepthwiseConv2dNative")
def depthwise(found: Operation) -> Tensor:
    kernel = found.constant(1)
    rows, pixels, channels, filters = kernel.shape
    weights = kernel.reshape(rows, pixels, channels * filters).transpose(2, 0, 1)[..., np.newaxis]
    return _conv(found, found.value(0), weights, channels)


@operation("Conv2DBackpropInput")
def transpose_conv(found: Operation) -> Tensor:
    """With padding SAME or VALID."""
    x, kernel = found.value(2), found.constant(1)  # [rows, pixels, out, in]
    stride, dilation, padding = found.pair("strides"), found.pair("dilations"), found.padding()
    if padding not in ("same", "valid"):
        found.refuse("has explicit padding")
    crop = []
    for n, s, d, k, extent in zip(
        x.shape[1:3], stride, dilation, kernel.shape[:2], found.node.outputs[0].shape.as_list()[1:3], strict=True
    ):
        if extent is None:
            found.refuse("gives a size that is not fixed")
        over = (n - 1) * s + (k - 1) * d + 1 - int(extent)
        before = max(over, 0) // 2 if padding == "same" else 0
        crop.append((before, over - before))
    return found.to.transpose_conv(
        found.label,
        x,
        kernel.transpose(2, 0, 1, 3),
        _bias_after(found),
        stride=stride,
        dilation=dilation,
        crop=(crop[0], crop[1]),
    )


def _conv(found: Operation, x: Tensor, weights: Array, groups: int) -> Tensor:
    return found.to.conv(
        found.label,
        x,
        weights,
        _bias_after(found),
        stride=found.pair("strides"),
        dilation=found.pair("dilations"),
        padding=found.padding(),
        groups=groups,
    )


@operation("MatMul")
def dense(found: Operation) -> Tensor:
    if found.node.get_attr("transpose_a"):
        found.refuse("MatMul of a transposed input is not supported")
    weights = found.constant(1)
    matrix = weights if found.node.get_attr("transpose_b") else weights.T
    return found.to.dense(found.label, found.value(0), matrix, _bias_after(found))


@operation("BiasAdd")
def bias(found: Operation) -> Tensor:
    x = found.value(0)
    if found.node.name in found.walk.biased:
        return x
    return found.to.affine(found.label, x, np.ones(1), found.constant(1))


def _bias_after(found: Operation) -> Array | None:
    """The bias of a BiasAdd that alone reads the result; the BiasAdd then passes its input on."""
    result = found.node.outputs[0]
    readers = result.consumers()
    if len(readers) != 1 or readers[0].type not in ("BiasAdd", "AddV2", "Add"):
        return None
    other = next((t.name for t in readers[0].inputs if t.name != result.name), "")
    values = found.walk.fetch(other) if other else None
    if values is None or values.reshape(-1).size != result.shape[-1] or values.shape[-1] != values.size:
        return None
    found.walk.biased.add(readers[0].name)
    return values.reshape(-1)
