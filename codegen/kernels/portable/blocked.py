"""CONV_2D, two pixels by four filters at a time: each weight that is loaded serves two products, each value four.

Eight sums want registers that Armv6-M has not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from driftc.boards.timing import Mix
from driftc.codegen.kernels.portable.default import Default
from driftc.codegen.kernels.portable.pairs import begins, both_inside, in_line, paired, pairs, walk_of
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.walk import Walk
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

FILTERS = 4
UNROLLED = (4, 9, 6, 3, 2, 1)  # products a turn, of each sum: the first that divides the length
MAC = 1.9  # where two pixels are computed at once
MAC_ALONE = 2.6
RESULT = 21.0
PIXEL = 24.0
TAP = 16.0  # of a window that is gathered tap by tap
CALL = 60.0


class Blocked(Default):
    """Weights lie tap by tap, four filters together."""

    name = "portable/blocked"
    mix = Mix.of(
        store=0.006, load=0.254, chained=0.136, accumulate=0.436, long=0.005, used=0.124, taken=0.017, pair=0.364
    )
    prefers = frozenset({"low-and-high-registers"})

    def serves(self, call: Call) -> bool:
        op = call.computed
        if not isinstance(op, Conv2D) or call.epilogue != "requantize" or call.reduce is not None or call.backward:
            return False
        if op.range[0] == op.range[1]:
            return False  # of a single value, the compiler knows better
        whole = call.channels.count == op.channels and op.channels % FILTERS == 0
        run = op.groups == 1 and op.dilation[1] == 1 and call.inputs[0].gapless
        return whole and run and (pairs(op) > 0 or _flat(call))

    def template(self, call: Call) -> str:
        return "conv_2d/blocked.c.j2"

    def values(self, call: Call) -> dict[str, Any]:
        op = call.computed
        assert isinstance(op, Conv2D)
        (kh, kw), depth = op.kernel, op.weights.shape[3]
        height, width, _ = call.outputs[0].shape
        flat = _flat(call)
        count = height * width if flat else width
        return {
            "flat": flat,
            "width": count,
            "filter": kh * kw * depth,
            "next": op.stride[1] * call.inputs[0].strides[1],  # bytes from a pixel's window to its neighbour's
            "two_inside": f"x + 1 < {count}" if flat else both_inside(op),
            "unroll": UNROLLED if self.core is not None and self.core.port == "cortex_m" else (2, 3, 1),
            "alone": op.reads_padding or count % 2 == 1,  # some pixels are computed by themselves
        }

    def constants(self, operator: Operator) -> dict[str, Array]:
        assert isinstance(operator, Conv2D)
        found = operator.constants()
        filters = found["weights"].reshape(operator.channels // FILTERS, FILTERS, -1)
        return found | {"weights": np.ascontiguousarray(filters.transpose(0, 2, 1))}

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        assert isinstance(operator, Conv2D)
        if backward:
            return None
        orders = [begins(operator), *([in_line(operator)] if _one_pixel(operator) else [])]
        passes = operator.channels // FILTERS
        depth = operator.inputs[0].hwc[2]
        return walk_of(
            operator, orders, passes, np.arange(operator.channels) // FILTERS, np.full(depth, passes - 1, np.int64)
        )

    def reverses(self, operator: Operator) -> bool:
        return False

    def cost(self, call: Call) -> float:
        op = call.computed
        assert isinstance(op, Conv2D)
        share = 1.0 if _flat(call) else paired(op)
        pixels = call.rows.count * call.outputs[0].shape[1]
        macs = pixels * op.channels * int(np.prod(op.weights.shape[1:]))
        each = op.channels * RESULT + PIXEL + (1 - share) * op.kernel[0] * op.kernel[1] * TAP
        return CALL + macs * (MAC * share + MAC_ALONE * (1 - share)) + pixels * each


def _one_pixel(op: Conv2D) -> bool:
    """Each pixel of the output comes from the same pixel of the input."""
    return op.kernel == (1, 1) and op.stride == (1, 1) and not op.reads_padding


def _flat(call: Call) -> bool:
    """All pixels of all rows are one line."""
    op, height = call.computed, call.outputs[0].shape[0]
    dense = all(buffer.dense for buffer in (*call.inputs, *call.outputs))
    every = call.rows.count == height and call.rows.start.literal == 0
    return isinstance(op, Conv2D) and _one_pixel(op) and dense and every and height * call.outputs[0].shape[1] > 1
