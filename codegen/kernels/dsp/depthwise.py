"""Depthwise convolution straight from the tensor: four channels at a time, any window, no scratch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from driftc.codegen.kernels.dsp.scales import scales_of
from driftc.codegen.kernels.kernel import Kernel
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.walk import Walk
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.plan import Call

UNROLLED = 16  # taps at most
# Instructions on the emulated Cortex-M4 (gcc 12 -O2).
MAC, MAC_ALONE, LOOPED = 2.6, 5.0, 1.2  # of fours, of channels by themselves, and more for a tap in a loop
RESULT, PIXEL, TAP, CALL = 12.0, 14.0, 14.0, 40.0
GATHERED = 10.0  # a result of which statistics are taken, more


class Depthwise(Kernel):
    """One output channel for each input channel; the rest of four one by one."""

    name = "dsp/depthwise"
    needs = frozenset({"dsp"})
    header = "driftc_dsp.h"
    sums: ClassVar[bool] = False  # those of a pixel are gathered in scratch, for statistics

    def serves(self, call: Call) -> bool:
        op = call.computed
        single = isinstance(op, DepthwiseConv2D) and op.multiplicity == 1
        return single and sums_whole(call, "statistics" if self.sums else "requantize")

    def template(self, call: Call) -> str:
        return "dsp/depthwise.c.j2"

    def constants(self, operator: Operator) -> dict[str, Array]:
        """`taps` as the weights are: [kernel rows, kernel pixels, channels]."""
        assert isinstance(operator, DepthwiseConv2D) and operator.weights.data is not None
        scales = scales_of(operator)
        assert scales is not None
        return {"taps": np.where(scales.idle, 0, operator.weights.data[0]).astype(np.int8)} | scales.constants()

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        """The operator's own is right: all of four channels are read before any is written."""
        return operator.walk(backward)

    def reverses(self, operator: Operator) -> bool:
        return operator.reversible

    def values(self, call: Call) -> dict[str, Any]:
        op = call.computed
        assert isinstance(op, DepthwiseConv2D)
        taps = op.kernel[0] * op.kernel[1]
        about = {
            "sums": self.sums,
            "taps": taps,
            "unrolled": taps <= UNROLLED,
            "fours": call.channels.count // 4 * 4,
        }
        scales = scales_of(op)
        if self.sums or scales is None:
            return about
        return about | {
            "zero": 2 * scales.zero + 1,
            "scale": "driftc_signed" if scales.signed else "driftc_rectified",
            "clamp": (scales.low, scales.high) if scales.clamped else None,
        }

    def cost(self, call: Call) -> float:
        op, y = call.computed, call.outputs[0]
        assert isinstance(op, DepthwiseConv2D)
        taps = op.kernel[0] * op.kernel[1]
        pixels, channels = call.rows.count * y.shape[1], call.channels.count
        inner = interior(op) if taps <= UNROLLED else 0.0
        looped = (1 - inner) * LOOPED * taps
        four = MAC * taps + RESULT + looped
        alone = MAC_ALONE * taps + RESULT + 4 * looped
        each = channels // 4 * 4 * four + channels % 4 * alone + PIXEL + (1 - inner) * TAP * taps
        return CALL + pixels * each


class DepthwiseSums(Depthwise):
    """For layers that are normalised live: values and statistics come of the sums."""

    name = "dsp/depthwise_sums"
    sums = True

    def constants(self, operator: Operator) -> dict[str, Array]:
        assert isinstance(operator, DepthwiseConv2D) and operator.weights.data is not None
        other = {key: data for key, data in operator.constants().items() if key != "weights"}
        return {"taps": operator.weights.data[0]} | other

    def scratch(self, call: Call) -> int:
        return 4 * call.channels.count

    def cost(self, call: Call) -> float:
        return super().cost(call) + GATHERED * call.rows.count * call.outputs[0].shape[1] * call.channels.count


def sums_whole(call: Call, epilogue: str = "requantize") -> bool:
    """A depthwise convolution that finishes whole sums in the short form, or hands them on."""
    op = call.computed
    if not isinstance(op, DepthwiseConv2D) or op.inputs[0].dtype != np.int8:
        return False
    x, y = call.inputs[0], call.outputs[0]
    plain = call.epilogue == epilogue and call.reduce is None and x.strides[2] == 1
    return plain and y.strides[2] == y.dtype.itemsize and (epilogue == "statistics" or scales_of(op) is not None)


def interior(op: DepthwiseConv2D) -> float:
    """The share of the windows that lie wholly inside the input."""
    height, width, _ = op.outputs[0].hwc
    (top, bottom), (left, right) = op.interior(0), op.interior(1)
    return (bottom - top) * (right - left) / (height * width)
