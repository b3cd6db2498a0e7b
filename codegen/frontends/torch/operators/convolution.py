"""Convolutions and dense layers."""

from __future__ import annotations

import numpy as np

from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.frontends.torch.call import Call, each
from driftc.codegen.frontends.torch.walk import operator
from driftc.codegen.operators.elementwise.mul import Mul


@operator("conv1d", "conv2d", "convolution")
def conv(call: Call) -> Value:
    """Over one axis or two, in groups, dilated."""
    general = call.kind == "convolution"
    if general and call.args[6]:
        return _transposed(call, 8, 5, 7)
    x, weights = call.value(), call.constant(call.args[1])
    count = weights.ndim - 2
    stride, dilation = (each(call.argument(*where, 1), count) for where in ((3, "stride"), (5, "dilation")))
    padding = call.argument(4, "padding", 0)
    if isinstance(padding, str):  # "same" comes with stride 1 alone
        reach = [(k - 1) * d if padding == "same" else 0 for k, d in zip(weights.shape[2:], dilation, strict=True)]
        around = [(n // 2, n - n // 2) for n in reach]
    else:
        around = [(n, n) for n in each(padding, count)]
    groups = int(call.argument(8 if general else 6, "groups", 1))
    bias = call.array(call.argument(2, "bias", None))
    return call.to.conv(call.label, x, weights, bias, stride, around, dilation, groups)


@operator("conv_transpose1d", "conv_transpose2d")
def conv_transpose(call: Call) -> Value:
    """Over one axis or two, in groups, dilated."""
    return _transposed(call, 6, 7, 5)


def _transposed(call: Call, groups: int, dilation: int, extra: int) -> Value:
    """The numbers are where the arguments stand."""
    x, weights = call.value(), call.constant(call.args[1])
    count = weights.ndim - 2
    stride, padding = (each(call.argument(*where), count) for where in ((3, "stride", 1), (4, "padding", 0)))
    more = each(call.argument(extra, "output_padding", 0), count)
    crop = [(n, n - m) for n, m in zip(padding, more, strict=True)]
    return call.to.transpose_conv(
        call.label,
        x,
        weights,
        call.array(call.argument(2, "bias", None)),
        stride,
        crop,
        each(call.argument(dilation, "dilation", 1), count),
        int(call.argument(groups, "groups", 1)),
    )


@operator("linear")
def linear(call: Call) -> Value:
    bias = call.array(call.argument(2, "bias", None))
    return call.to.dense(call.label, call.value(), call.constant(call.args[1]), bias)


@operator("addmm")
def addmm(call: Call) -> Value:
    return call.to.dense(call.label, call.value(1), call.constant(call.args[2]).T, call.array(call.args[0]))


@operator("einsum")
def einsum(call: Call) -> Value:
    """Of one or two operands, a letter an axis."""
    return call.to.einsum(call.label, str(call.args[0]), [call.operand(argument) for argument in call.args[1]])


@operator("bmm", "matmul", "mm")
def matmul(call: Call) -> Value:
    a, b = (call.walk.values[argument.name] for argument in call.args[:2])
    if isinstance(a, Value) and isinstance(b, Value):
        return call.to.matmul(call.label, a, b)
    if isinstance(a, Value):
        return call.to.matmul_constant(call.label, a, call.constant(call.args[1]), first=False)
    return call.to.matmul_constant(call.label, call.walk.value(call.args[1]), call.constant(call.args[0]), first=True)


@operator("scaled_dot_product_attention")
def attention(call: Call) -> Value:
    """Without a mask."""
    if call.argument(3, "attn_mask", None) is not None or call.argument(5, "is_causal", False):
        call.refuse("has a mask, which driftc does not read")
    query, key, value = (call.value(place) for place in range(3))
    scale = call.argument(6, "scale", None) or query.shape[-1] ** -0.5
    order = (*range(key.rank - 2), key.rank - 1, key.rank - 2)
    likeness = call.to.matmul(f"{call.label}/likeness", query, call.to.transpose(f"{call.label}/turned", key, order))
    scaled = call.to.binary_constant(f"{call.label}/scaled", Mul, likeness, np.full(1, float(scale)), first=False)
    return call.to.matmul(call.label, call.to.softmax(f"{call.label}/softmax", scaled, -1), value)
