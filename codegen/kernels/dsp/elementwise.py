"""ADD, SUB and MUL of tensors of one shape: four elements a turn, rounded by SMMLAR."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from driftc.boards.timing import Mix
from driftc.codegen.arithmetic import Multiplier
from driftc.codegen.kernels.dsp.scales import SHIFTS
from driftc.codegen.kernels.kernel import Kernel
from driftc.codegen.kernels.portable.default import PORTABLE
from driftc.codegen.kernels.walk import Walk
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.elementwise import Elementwise, Sum
from driftc.codegen.operators.elementwise.mul import Mul

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

ROW = CALL = 30.0  # instructions


class Alike(Kernel):
    """Both inputs and the output have one shape, and rows without gaps."""

    needs: ClassVar[frozenset[str]] = frozenset({"dsp"})
    header = "driftc_dsp.h"
    element: ClassVar[float]  # instructions on the emulated Cortex-M4 (gcc 12 -O2)

    def serves(self, call: Call) -> bool:
        op, buffers = call.computed, (*call.inputs, *call.outputs)
        if not isinstance(op, Elementwise) or call.channels.count != call.outputs[0].shape[2]:
            return False
        return all(buffer.shape == buffers[0].shape and buffer.gapless for buffer in buffers)

    def template(self, call: Call) -> str:
        return "dsp/elementwise.c.j2"

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        """The operator's own is right: each element is read before it is written, and four are before any is."""
        return PORTABLE.walk(operator, backward)

    def values(self, call: Call) -> dict[str, Any]:
        op, y = call.computed, call.outputs[0]
        assert isinstance(op, Elementwise)
        joined = all(b.whole_rows and b.strides[0] == b.shape[1] * b.strides[1] for b in (*call.inputs, y))
        low, high = op.range
        width = y.shape[1] * y.shape[2]
        return {
            "joined": joined,  # rows follow each other
            "length": call.rows.count * width if joined else width,
            "zeros": [tensor.zero_point for tensor in op.inputs],
            "zero": 2 * op.outputs[0].zero_point + 1,
            "scale": "driftc_signed" if low < op.outputs[0].zero_point else "driftc_rectified",
            "clamp": (low, high) if (low, high) != (-128, 127) else None,
        }

    def cost(self, call: Call) -> float:
        y = call.outputs[0]
        return CALL + call.rows.count * (ROW + y.shape[1] * y.shape[2] * self.element)


class Summed(Alike):
    """Each input by its own scale; that of the one with the larger scale has no shift."""

    name = "dsp/sum"
    mix = Mix.of(store=0.027, load=0.054, chained=0.039, accumulate=0.178, used=0.02, taken=0.015, pair=0.358)
    element = 16.0

    def serves(self, call: Call) -> bool:
        op = call.computed
        if not isinstance(op, Sum) or not super().serves(call):
            return False
        shifts = [_shift(multiplier) for multiplier in op.multipliers]
        return all(shift <= SHIFTS[1] for shift in shifts) and shifts[2] >= SHIFTS[0] and op.extra_bits == 20

    def values(self, call: Call) -> dict[str, Any]:
        op = call.computed
        assert isinstance(op, Sum)
        pairs = [(int(multiplier.value[0]), _shift(multiplier)) for multiplier in op.multipliers]
        return super().values(call) | {"terms": pairs[:2], "result": pairs[2], "sign": "+" if op.sign > 0 else "-"}


class Product(Alike):
    """The product of values without zero points."""

    name = "dsp/mul"
    mix = Mix.of(store=0.018, load=0.018, chained=0.017, multiply=0.056, accumulate=0.056, taken=0.019, pair=0.363)
    element = 13.0

    def serves(self, call: Call) -> bool:
        op = call.computed
        if not isinstance(op, Mul) or not super().serves(call):
            return False
        return SHIFTS[0] <= _shift(op.multiplier) <= SHIFTS[1]

    def values(self, call: Call) -> dict[str, Any]:
        op = call.computed
        assert isinstance(op, Mul)
        return super().values(call) | {"terms": None, "result": (int(op.multiplier.value[0]), _shift(op.multiplier))}


def _shift(multiplier: Multiplier) -> int:
    """To the right."""
    return -int(multiplier.shift[0])
