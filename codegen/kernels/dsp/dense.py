"""Dense layer over one row of inputs: one pixel by the matrix function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from driftc.codegen.kernels.dsp.matrix import Matrix
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.convolution.weighted import Weighted

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call


class Dense(Matrix):
    """Where all channels share a scale, each has four bytes for it, not nine."""

    name = "dsp/dense"

    def serves(self, call: Call) -> bool:
        op = call.computed
        return isinstance(op, FullyConnected) and op.rows == 1 and call.inputs[0].dense and self.finishes(call)

    def template(self, call: Call) -> str:
        return "dsp/dense.c.j2"

    def runs(self, op: Operator) -> tuple[int, ...]:
        assert isinstance(op, FullyConnected)
        return (op.weights.shape[1],)

    def odd(self, call: Call) -> bool:
        return True

    def paired(self, call: Call) -> bool:
        return False

    def uniform(self, op: Weighted) -> tuple[int, int] | None:
        scales = self.scales(op)
        assert scales is not None
        return (int(scales.multiplier[0]), int(scales.shift[0])) if scales.uniform else None

    def values(self, call: Call) -> dict[str, Any]:
        return super().values(call) | {"run": self.runs(call.operator)[0]}

    def cost(self, call: Call) -> float:
        return self.matrix_cost(call, 0, 1, self.runs(call.operator))


class DenseDirect(Dense):
    """Without scratch: the inputs are widened for each four channels anew."""

    name = "dsp/dense_direct"
    raw = True
    parts = False

    def serves(self, call: Call) -> bool:
        return super().serves(call) and self.runs(call.operator)[0] % 8 == 0

    def scratch(self, call: Call) -> int:
        return 0
