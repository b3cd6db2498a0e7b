"""Convolutions and dense layers."""

from __future__ import annotations

from driftc.codegen.frontends.channels_first import Value
from driftc.codegen.frontends.torch.call import Call, pair
from driftc.codegen.frontends.torch.walk import operator


@operator("conv2d", "convolution")
def conv(call: Call) -> Value:
    general = call.kind == "convolution"
    padding = call.argument(4, "padding", 0)
    if general and (call.args[6] or any(call.args[7])):
        call.refuse("transposed convolutions are not supported")
    x, weights = call.value(), call.constant(call.args[1])
    spread = pair(call.argument(5, "dilation", 1))
    if isinstance(padding, str):  # "same" comes with stride 1 alone
        reach = [(k - 1) * d if padding == "same" else 0 for k, d in zip(weights.shape[2:], spread, strict=True)]
        around = (reach[0] // 2, reach[0] - reach[0] // 2, reach[1] // 2, reach[1] - reach[1] // 2)
    else:
        rows, pixels = pair(padding)
        around = (rows, rows, pixels, pixels)
    return call.to.conv(
        call.label,
        x,
        weights,
        call.array(call.argument(2, "bias", None)),
        pair(call.argument(3, "stride", 1)),
        around,
        spread,
        int(call.argument(8 if general else 6, "groups", 1)),
    )


@operator("linear")
def linear(call: Call) -> Value:
    bias = call.array(call.argument(2, "bias", None))
    return call.to.dense(call.label, call.value(), call.constant(call.args[1]), bias)


@operator("addmm")
def addmm(call: Call) -> Value:
    return call.to.dense(call.label, call.value(1), call.constant(call.args[2]).T, call.array(call.args[0]))
