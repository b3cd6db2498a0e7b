"""Convolution 3x3 by Winograd's F(2, 3) both ways, in integers: 16 products for the four outputs of a tile, not 36.

What dsp/winograd does to the pixels of a row is done to rows as well. Four times a sum comes out, and requantisation
begins with its half. The weights are int16; those of m0 and m3 are doubled in flash, so that sums only add up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from driftc.boards.timing import Mix
from driftc.codegen.kernels.dsp.twins import order_of, pairs_of
from driftc.codegen.kernels.dsp.winograd import (
    COPIED,
    PIXELS,
    ROW,
    SEEN,
    TRANSFORMED,
    Winograd,
    in_order,
)
from driftc.codegen.kernels.kernel import Shared
from driftc.codegen.kernels.walk import Walk
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.conv_2d import Conv2D

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

# Instructions on the emulated Cortex-M4 (gcc 12 -O2): a pair of inputs of 16 products, two loads by one instruction
# or not; four channels of two tiles besides; a pair of inputs transformed across rows; a group, a call.
PAIR, FOUR = {False: 236.0, True: 188.0}, 690.0
ACROSS, GROUP, CALL = 67.0, 60.0, 80.0

# What instructions are of the products, and of the rest.
PRODUCTS = {
    False: Mix.of(accumulate=0.542, load=0.202, chained=0.226, used=0.153, taken=0.018, pair=0.154),
    True: Mix.of(accumulate=0.682, double=0.254, load=0.026, used=0.026, taken=0.023, pair=0.045),
}
OTHERS = {"store": 0.064, "multiple": 0.047, "register": 0.28, "multiply": 0.064, "double": 0.074, "taken": 0.066}
REST = {
    False: Mix.of(**OTHERS, load=0.057, chained=0.142, used=0.087, pair=0.207),
    True: Mix.of(**OTHERS, load=0.137, chained=0.061, used=0.086, pair=0.212),
}
SUMS = 40  # words of sums on the way


class WinogradSquare(Winograd):
    """Two rows of four outputs at a time, of which some may lie beyond the last row or the last pixel."""

    name = "dsp/winograd_square"
    at_once = 2

    def serves(self, call: Call) -> bool:
        op = call.computed
        near = isinstance(op, Conv2D) and op.kernel[0] == 3 and op.stride[0] == 1 == op.dilation[0]
        return near and call.rows.count > 1 and not call.backward and super().serves(call)

    def template(self, call: Call) -> str:
        return "dsp/winograd_square.c.j2"

    def runs(self, op: Operator) -> tuple[int, ...]:
        assert isinstance(op, Conv2D)
        return (op.weights.shape[3],)

    def transforms(self, op: Conv2D) -> NDArray[np.int64]:
        taps = self.taps(op)
        for axis in (1, 2):
            a, b, c = np.moveaxis(taps, axis, 0)
            taps = np.stack([a + b + c, a - b + c, 2 * a, 2 * c], axis=axis)
        order = order_of(self.runs(op))
        return np.stack([in_order(taps[:, i, j], order) for i in range(4) for j in range(4)], axis=1)

    def shared(self, call: Call) -> tuple[Shared, ...]:
        *before, sums = super().shared(call)
        across = Shared("driftc_winograd_rows", "dsp/winograd_rows.c.j2")
        return (*before, across, Shared(sums.name, "dsp/winograd_square_sums.c.j2", sums.values))

    def values(self, call: Call) -> dict[str, Any]:
        op, y, about = call.computed, call.outputs[0], super().values(call)
        assert isinstance(op, Conv2D)
        depth, whole = op.weights.shape[3], call.channels.count // 4 * 4
        below = PIXELS * y.strides[1] if call.rows.count % 2 and whole else 0
        return about | {
            "leaves": about["leaves"] or call.rows.count % 2 == 1,
            "before": SUMS,
            "words": 4 * about["words"],
            "used": 8 * (depth // 4 * 2 + (0, 1, 1, 2)[depth % 4]),
            "spare": -(-max(2 * about["spare"], below) // 4) * 4,
            "step": 64 * about["pairs"],
            "sum": about["sum"].replace("driftc_winograd", "driftc_winograd_square"),
        }

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        """Two rows of four pixels a step, all channels: what they need is read before one is written."""
        if backward:
            return None
        assert isinstance(operator, Conv2D)
        height, width, channels = operator.outputs[0].hwc
        rows, pixels = -(-height // 2), -(-width // PIXELS)
        y, x = np.arange(height) // 2, np.arange(width) // PIXELS
        written = (y[:, None] * pixels + x)[..., None] + np.zeros(channels, np.int64)
        top, _, left, _ = operator.padding
        tall, wide, depth = operator.inputs[0].hwc
        last = (
            np.minimum((np.arange(tall) + top) // 2, rows - 1),
            np.minimum((np.arange(wide) + left) // PIXELS, pixels - 1),
        )
        read = (last[0][:, None] * pixels + last[1])[..., None] + np.zeros(depth, np.int64)
        return Walk((read,), (written,))

    def reverses(self, operator: Operator) -> bool:
        return False

    def cost(self, call: Call) -> float:
        return sum(self.kinds(call).values())

    def kinds(self, call: Call) -> dict[Mix, float]:
        op, width = call.computed, call.outputs[0].shape[1]
        assert isinstance(op, Conv2D)
        depth, groups = op.weights.shape[3], -(-width // PIXELS)
        rows, fours = -(-call.rows.count // 2), -(-call.channels.count // 4)
        inputs = 4 * (TRANSFORMED * depth / 4 + 10 * (depth % 4) + ROW) + ACROSS * depth / 2
        border = 4 * (COPIED * SEEN * depth / 4 + ROW) * min(groups, 2) if not self._inside(call) else 0.0
        return {
            PRODUCTS[self.ldrd]: rows * groups * fours * PAIR[self.ldrd] * pairs_of(self.runs(op)),
            REST[self.ldrd]: CALL + rows * (groups * (fours * FOUR + inputs + GROUP) + border),
        }

    def _inside(self, call: Call) -> bool:
        return super()._inside(call) and call.rows.count % 2 == 0
