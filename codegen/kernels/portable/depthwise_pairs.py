"""DEPTHWISE_CONV_2D, two neighbours at a time: the values that their windows share are loaded once, and each weight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from driftc.boards.timing import Mix
from driftc.codegen.kernels.portable.default import Default
from driftc.codegen.kernels.portable.pairs import begins, both_inside, paired, pairs, walk_of
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.walk import Walk

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

MOST_TAPS = 16  # all are written out
VALUE = 1.3  # a value that is loaded
TAP = 3.2  # a weight, and its products
RESULT = 14.0
ALONE = 7.0  # a tap of a pixel by itself
CALL = 60.0


class DepthwisePairs(Default):
    """Channel by channel; at the border one pixel by itself."""

    name = "portable/depthwise_pairs"
    mix = Mix.of(
        store=0.027, load=0.19, chained=0.191, accumulate=0.187, long=0.021, used=0.07, taken=0.018, pair=0.369
    )
    prefers = frozenset({"low-and-high-registers"})

    def serves(self, call: Call) -> bool:
        op = call.computed
        if not isinstance(op, DepthwiseConv2D) or call.epilogue != "requantize" or call.backward:
            return False
        if op.range[0] == op.range[1]:
            return False  # of a single value, the compiler knows better
        small = op.multiplicity == 1 and op.dilation == (1, 1) and op.kernel[0] * op.kernel[1] <= MOST_TAPS
        return small and pairs(op) > 0

    def template(self, call: Call) -> str:
        return "depthwise_conv_2d/pairs.c.j2"

    def values(self, call: Call) -> dict[str, Any]:
        op = call.computed
        assert isinstance(op, DepthwiseConv2D)
        return {
            "columns": op.kernel[1] + op.stride[1],  # that two windows span
            "two_inside": both_inside(op),
            "alone": op.reads_padding or op.outputs[0].hwc[1] % 2 == 1,
        }

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        assert isinstance(operator, DepthwiseConv2D)
        channels = np.arange(operator.channels)
        if backward:
            return None
        return walk_of(operator, [begins(operator)], operator.channels, channels, channels)

    def reverses(self, operator: Operator) -> bool:
        return False

    def cost(self, call: Call) -> float:
        op = call.computed
        assert isinstance(op, DepthwiseConv2D)
        kh, kw = op.kernel
        outputs = call.rows.count * call.outputs[0].shape[1] * call.channels.count
        two = kh * (kw + op.stride[1]) * VALUE + kh * kw * TAP
        share = paired(op)
        return CALL + outputs * (share * (two / 2 + RESULT) + (1 - share) * kh * kw * ALONE)
