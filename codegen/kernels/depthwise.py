"""What depthwise kernels share that take the taps of a window as pointers, those of all windows inside found once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from driftc.codegen.kernels.dsp.scales import SHORT, Limits, Scales, apart, others_of, scales_of
from driftc.codegen.kernels.kernel import Kernel, Shared
from driftc.codegen.kernels.portable.default import PORTABLE
from driftc.codegen.kernels.walk import Walk
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

APART = 20  # taps at most of which the stack holds those of a window inside the input beside those of one at the border

OTHER_TAP, OTHER = 7.0, 50.0  # instructions of a channel that is computed apart


class ByTaps(Kernel):
    """Any window, stride and dilation, no scratch: all channels of a pixel by one function, which layers share."""

    sums: ClassVar[bool] = False  # those of a pixel are gathered in scratch, for statistics
    limits: ClassVar[Limits] = SHORT

    def heavy(self, op: DepthwiseConv2D) -> tuple[int, ...]:
        """Channels whose sums the function does not hold."""
        return ()

    def finishes(self, call: Call) -> bool:
        """Whole sums become int8 in the short form, but for some channels; or statistics."""
        op = call.computed
        if not isinstance(op, DepthwiseConv2D) or not plain(call, "statistics" if self.sums else "requantize"):
            return False
        if self.sums:
            return not self.heavy(op)
        scales = self.scales(op)
        return scales is not None and (not scales.others or call.channels.count == op.channels)

    def scales(self, op: DepthwiseConv2D) -> Scales | None:
        """Of the sums that are finished here."""
        return None if self.sums else scales_of(op, self.limits, others_of(op), self.heavy(op))

    def constants(self, operator: Operator) -> dict[str, Array]:
        """`other_taps` [channels, taps], of those that are computed apart."""
        assert isinstance(operator, DepthwiseConv2D) and operator.weights.data is not None
        scales = self.scales(operator)
        if scales is None or not scales.others:
            return {}
        every = operator.weights.data[0].reshape(-1, operator.channels)
        return {"other_taps": np.ascontiguousarray(every[:, list(scales.others)].T)}

    def shared(self, call: Call) -> tuple[Shared, ...]:
        found = Shared("driftc_taps", "depthwise_conv_2d/taps.c.j2")
        return (found, Shared("driftc_by_taps", "depthwise_conv_2d/sum.c.j2")) if self._others(call) else (found,)

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        """The operator's own is right: what is computed at once is read before any of it is written."""
        return PORTABLE.walk(operator, backward)

    def reverses(self, operator: Operator) -> bool:
        return PORTABLE.reverses(operator)

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
            "biases": op.folded_bias.tolist(),
            **apart(op, self.scales(op)),
        }

    def cost(self, call: Call) -> float:
        """Of the channels that are computed apart."""
        op = call.computed
        assert isinstance(op, DepthwiseConv2D)
        each = OTHER_TAP * op.kernel[0] * op.kernel[1] + OTHER
        return self._others(call) * each * call.rows.count * call.outputs[0].shape[1]

    def _others(self, call: Call) -> int:
        op = call.computed
        assert isinstance(op, DepthwiseConv2D)
        scales = self.scales(op)
        return len(scales.others) if scales else 0


def plain(call: Call, epilogue: str = "requantize") -> bool:
    """A depthwise convolution of int8 with whole sums, channels next to each other."""
    op = call.computed
    if not isinstance(op, DepthwiseConv2D) or op.inputs[0].dtype != np.int8:
        return False
    x, y = call.inputs[0], call.outputs[0]
    whole = call.epilogue == epilogue and call.reduce is None
    return whole and x.strides[2] == 1 and y.strides[2] == y.dtype.itemsize


def interior(op: DepthwiseConv2D) -> float:
    """The share of the windows that lie wholly inside the input."""
    height, width, _ = op.outputs[0].hwc
    (top, bottom), (left, right) = op.interior(0), op.interior(1)
    return (bottom - top) * (right - left) / (height * width)
