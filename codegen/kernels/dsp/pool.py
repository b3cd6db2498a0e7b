"""AVERAGE_POOL_2D and MAX_POOL_2D: four channels at a time, as halves that are added or bytes that are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from driftc.boards.timing import Mix
from driftc.codegen.kernels.kernel import Kernel
from driftc.codegen.kernels.portable.default import PORTABLE
from driftc.codegen.kernels.walk import Walk
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.reduction.average_pool_2d import AveragePool2D
from driftc.codegen.operators.reduction.max_pool_2d import MaxPool2D
from driftc.codegen.operators.reduction.pool import Pool

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

MOST = 255  # points whose sum fits 16 bits
PIXEL, CALL = 17.0, 40.0  # instructions on the emulated Cortex-M4 (gcc 12 -O2)


class PoolInFours(Kernel):
    """The rest of four channels one by one."""

    needs: ClassVar[frozenset[str]] = frozenset({"dsp"})
    header = "driftc_dsp.h"
    operator: ClassVar[type[Pool]]
    # Instructions of a point of a window that is there, of its rows, and of a result; of four channels, and of one.
    four: ClassVar[tuple[float, float, float]]
    one: ClassVar[tuple[float, float, float]]

    def serves(self, call: Call) -> bool:
        op = call.computed
        if not isinstance(op, self.operator) or call.epilogue != "requantize" or call.channels.count < 4:
            return False
        if op.range[0] == op.range[1]:
            return False  # of a single value, the compiler knows better
        return call.reduce is None and call.inputs[0].strides[2] == 1 == call.outputs[0].strides[2]

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        """The operator's own is right: all of four channels are read before any is written."""
        return PORTABLE.walk(operator, backward)

    def reverses(self, operator: Operator) -> bool:
        return PORTABLE.reverses(operator)

    def template(self, call: Call) -> str:
        return "dsp/pool.c.j2"

    def values(self, call: Call) -> dict[str, Any]:
        op = call.computed
        assert isinstance(op, Pool)
        whole = not any(op.padding)
        return {
            "average": self.operator is AveragePool2D,
            "fours": call.channels.count // 4 * 4,
            "points": op.kernel[0] * op.kernel[1] if whole else None,
            "range": op.range,
        }

    def cost(self, call: Call) -> float:
        op, y = call.computed, call.outputs[0]
        assert isinstance(op, Pool)
        count = call.channels.count
        four, alone = (
            op.mean_inside(0) * (op.mean_inside(1) * point + row) + result
            for point, row, result in (self.four, self.one)
        )
        return CALL + call.rows.count * y.shape[1] * (PIXEL + count // 4 * four + count % 4 * alone)


class AveragePool(PoolInFours):
    """Rounded as the operator says: halves away from zero."""

    name = "dsp/average_pool"
    mix = Mix.of(store=0.035, load=0.118, chained=0.011, divide=0.028, used=0.005, taken=0.102, pair=0.383)
    operator = AveragePool2D
    four, one = (4.4, 11.5, 33.0), (5.0, 10.0, 43.0)

    def serves(self, call: Call) -> bool:
        op = call.computed
        return isinstance(op, AveragePool2D) and op.kernel[0] * op.kernel[1] <= MOST and super().serves(call)


class MaxPool(PoolInFours):
    """Starts from the smallest value that the clamp leaves."""

    name = "dsp/max_pool"
    mix = Mix.of(double=0.009, store=0.015, load=0.127, chained=0.004, used=0.106, taken=0.101, pair=0.359)
    operator = MaxPool2D
    four, one = (5.1, 13.8, 3.0), (6.4, 13.7, 9.0)
