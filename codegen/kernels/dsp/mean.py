"""MEAN over all rows and pixels: four channels at a time, 255 points in 16 bits, then in 32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from driftc.boards.timing import Mix
from driftc.codegen.kernels.dsp.pool import CALL, MOST
from driftc.codegen.kernels.dsp.scales import SHIFTS, SHORT
from driftc.codegen.kernels.kernel import Kernel
from driftc.codegen.kernels.portable.default import PORTABLE
from driftc.codegen.kernels.walk import Walk
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.reduction.mean import Mean

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

# Instructions on the emulated Cortex-M4 (gcc 12 -O2): of four channels, and of one.
POINT, ROW, FOUR, RESULT = 6.0, 10.0, 16.0, 14.0


class MeanInFours(Kernel):
    """The rest of four channels one by one."""

    name = "dsp/mean"
    mix = Mix.of(store=0.018, load=0.099, chained=0.074, accumulate=0.022, taken=0.107, pair=0.346)
    needs = frozenset({"dsp"})
    header = "driftc_dsp.h"

    def serves(self, call: Call) -> bool:
        op = call.computed
        if not isinstance(op, Mean) or not op.by_channel or call.epilogue != "requantize" or call.reduce is not None:
            return False
        x, shift = call.inputs[0], -int(op.multiplier.shift[0])
        fits = SHIFTS[0] <= shift <= SHIFTS[1] and 255 * op.count < SHORT.sum and x.shape[1] <= MOST
        return fits and x.whole_rows and x.strides[2] == 1 == call.outputs[0].strides[2] and call.channels.count >= 4

    def template(self, call: Call) -> str:
        return "dsp/mean.c.j2"

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        """The operator's own is right: all of four channels are read before any is written."""
        return PORTABLE.walk(operator, backward)

    def values(self, call: Call) -> dict[str, Any]:
        op = call.computed
        assert isinstance(op, Mean)
        rows, pixels, _ = call.inputs[0].shape
        return {
            "rows": rows,
            "pixels": pixels,
            "at_once": min(MOST // pixels, rows),  # rows whose sums fit 16 bits
            "fours": call.channels.count // 4 * 4,
            "start": -op.inputs[0].zero_point * op.count,
            "multiplier": int(op.multiplier.value[0]),
            "shift": -int(op.multiplier.shift[0]) - 1,
            "zero": 2 * op.outputs[0].zero_point + 1,
            "scale": "driftc_signed" if op.outputs[0].zero_point > -128 else "driftc_rectified",
        }

    def cost(self, call: Call) -> float:
        rows, pixels, _ = call.inputs[0].shape
        four = POINT * rows * pixels + ROW * rows + 4 * RESULT + FOUR
        return CALL + call.channels.count // 4 * four + call.channels.count % 4 * (9.0 * rows * pixels + 22.0)
