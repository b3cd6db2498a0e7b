"""What depthwise kernels share that take the taps of a window as pointers, those of all windows inside found once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from driftc.codegen.kernels.dsp.scales import scales_of
from driftc.codegen.kernels.kernel import Kernel, Shared
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.walk import Walk

if TYPE_CHECKING:
    from driftc.codegen.plan.plan import Call

APART = 20  # taps at most of which the stack holds those of a window inside the input beside those of one at the border


class ByTaps(Kernel):
    """Any window, stride and dilation, no scratch: all channels of a pixel by one function, which layers share."""

    sums: ClassVar[bool] = False  # those of a pixel are gathered in scratch, for statistics

    def shared(self, call: Call) -> tuple[Shared, ...]:
        return (Shared("driftc_taps", "depthwise_conv_2d/taps.c.j2"),)

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        """The operator's own is right: what is computed at once is read before any of it is written."""
        return operator.walk(backward)

    def reverses(self, operator: Operator) -> bool:
        return operator.reversible

    def values(self, call: Call) -> dict[str, Any]:
        """What templates/depthwise_conv_2d/by_taps.c.j2 needs; `window` are the fields of driftc_window_t."""
        op, x = call.computed, call.inputs[0]
        assert isinstance(op, DepthwiseConv2D)
        height, width, _ = x.shape
        kept = height if x.whole_rows else x.rows
        return {
            "sums": self.sums,
            "taps": op.kernel[0] * op.kernel[1],
            "window": [*op.kernel, *op.dilation, op.dilation[1] * x.strides[1], height, width, kept, *x.strides[:2]],
            "multiplicity": op.multiplicity,
            "apart": op.kernel[0] * op.kernel[1] <= APART,
        }


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
