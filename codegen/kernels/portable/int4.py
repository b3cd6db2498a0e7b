"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED with weights of int4, unpacked as they are read: the portable loops.

Flash holds them as the .tflite does, flat and two a byte, so that a row may begin in the middle of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from driftc.codegen.kernels.kernel import Shared
from driftc.codegen.kernels.portable.default import Default
from driftc.codegen.kernels.portable.pointwise import Pointwise
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

UNROLLED = 16  # taps that the depthwise template writes out
BYTES, HALVES, DEPTHWISE_HALVES = 1.1, 4.0, 7.0  # instructions a MAC besides those of int8


class Int4(Default):
    """The templates count weights in "bytes" where every run of them begins one, else in "halves"."""

    name = "portable/int4"
    unpacks = True

    def template(self, call: Call) -> str:
        pointwise = Pointwise(self.core)
        return pointwise.template(call) if pointwise.serves(call) else super().template(call)

    def values(self, call: Call) -> dict[str, Any]:
        return {"packed": "bytes" if _whole_bytes(call) else "halves"}

    def shared(self, call: Call) -> tuple[Shared, ...]:
        depthwise = isinstance(call.computed, DepthwiseConv2D)
        return () if depthwise or _whole_bytes(call) else (Shared("driftc_int4_dot", "int4/dot.c.j2"),)

    def constants(self, operator: Operator) -> dict[str, Array]:
        found = super().constants(operator)
        return found | {"weights": pack(found["weights"])}

    def cost(self, call: Call) -> float:
        height, _, channels = call.outputs[0].shape
        share = call.rows.count * call.channels.count / (height * channels)
        share *= call.reduce.count / call.inputs[0].shape[2] if call.reduce else 1.0
        halves = DEPTHWISE_HALVES if isinstance(call.computed, DepthwiseConv2D) else HALVES
        return super().cost(call) + call.computed.macs * share * (BYTES if _whole_bytes(call) else halves)


def pack(values: Array) -> Array:
    """Two values of -8..7 a byte, the low half first; the last half is zero where they are odd in number."""
    halves = values.reshape(-1).astype(np.uint8) & 15
    low, high = halves[::2], np.zeros(-(-halves.size // 2), np.uint8)
    high[: halves.size // 2] = halves[1::2]
    return (low | high << 4).view(np.int8)


def _whole_bytes(call: Call) -> bool:
    """Every run of weights that the loops read begins with a whole byte: an even number lies before it.

    Of a depthwise layer pairs of channels do, from tap to tap where all are written out, or even in number.
    """
    op = call.computed
    assert isinstance(op, Weighted)
    if isinstance(op, DepthwiseConv2D):
        unrolled = op.kernel[0] * op.kernel[1] <= UNROLLED
        return (op.channels % 2 == 0 or unrolled) and call.channels.count == op.channels
    return op.weights.shape[-1] % 2 == 0 and call.reduce is None
