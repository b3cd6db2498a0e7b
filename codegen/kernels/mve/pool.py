"""AVERAGE_POOL_2D and MAX_POOL_2D: 16 channels at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from driftc.boards.timing import Mix
from driftc.codegen.kernels.dsp.pool import MOST
from driftc.codegen.kernels.kernel import Kernel, Shared
from driftc.codegen.kernels.mve.vectors import vectors
from driftc.codegen.kernels.portable.default import PORTABLE
from driftc.codegen.kernels.walk import Walk
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.reduction.average_pool_2d import AveragePool2D
from driftc.codegen.operators.reduction.max_pool_2d import MaxPool2D
from driftc.codegen.operators.reduction.pool import Pool

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

PIXEL, ROW, CALL = 35.0, 9.0, 40.0  # instructions on the emulated Cortex-M55 (gcc 12 -O2)


class PoolInVectors(Kernel):
    """The function is shared by all layers."""

    needs: ClassVar[frozenset[str]] = frozenset({"mve"})
    header = "driftc_mve.h"
    mix = Mix.of(vector=0.45, overlapped=0.2, load=0.02, taken=0.1)
    operator: ClassVar[type[Pool]]
    function: ClassVar[str]
    point: ClassVar[float]  # instructions of 16 channels
    result: ClassVar[float]

    def serves(self, call: Call) -> bool:
        op = call.computed
        if not isinstance(op, self.operator) or call.epilogue != "requantize" or call.reduce is not None:
            return False
        x = call.inputs[0]
        if op.range[0] == op.range[1]:
            return False  # of a single value, the compiler knows better
        return x.whole_rows and x.strides[2] == 1 == call.outputs[0].strides[2]

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        """The operator's own is right: all of 16 channels are read before any is written."""
        return PORTABLE.walk(operator, backward)

    def reverses(self, operator: Operator) -> bool:
        return PORTABLE.reverses(operator)

    def template(self, call: Call) -> str:
        return "mve/pool.c.j2"

    def shared(self, call: Call) -> tuple[Shared, ...]:
        return (Shared(self.function, f"mve/{self.function.removeprefix('driftc_')}.c.j2"),)

    def values(self, call: Call) -> dict[str, Any]:
        op = call.computed
        assert isinstance(op, Pool)
        return {"function": self.function, "range": op.range}

    def cost(self, call: Call) -> float:
        op, y = call.computed, call.outputs[0]
        assert isinstance(op, Pool)
        each = op.mean_inside(0) * (self.point * op.mean_inside(1) + ROW) + self.result
        return CALL + call.rows.count * y.shape[1] * (PIXEL + vectors(call.channels.count) * each)


class AveragePoolInVectors(PoolInVectors):
    """Rounded as the operator says: halves away from zero. The division is a product with a reciprocal, exact here."""

    name = "mve/average_pool"
    operator = AveragePool2D
    function = "driftc_average_vectors"
    point, result = 9.0, 84.0

    def serves(self, call: Call) -> bool:
        op = call.computed
        return isinstance(op, AveragePool2D) and op.kernel[0] * op.kernel[1] <= MOST and super().serves(call)


class MaxPoolInVectors(PoolInVectors):
    """Starts from the smallest value that the clamp leaves."""

    name = "mve/max_pool"
    operator = MaxPool2D
    function = "driftc_max_vectors"
    point, result = 6.5, 13.0
