"""The kernel that every operator has: the template, constants and walk that the operator itself names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driftc.boards.timing import Mix
from driftc.codegen.kernels.cost import portable
from driftc.codegen.kernels.kernel import Kernel
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.operators.walk import Walk
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call


SUMS = Mix.of(load=0.285, chained=0.154, accumulate=0.336, long=0.005, used=0.13, taken=0.04, pair=0.38)
DEPTHWISE = Mix.of(
    store=0.015, load=0.214, chained=0.211, accumulate=0.146, long=0.012, used=0.111, taken=0.07, pair=0.303
)


class Default(Kernel):
    """templates/OPERATOR/portable.c.j2."""

    name = "portable"
    mix = Mix.of(store=0.019, load=0.099, chained=0.014, long=0.034, used=0.033, taken=0.087, pair=0.332)

    def serves(self, call: Call) -> bool:
        return True

    def template(self, call: Call) -> str:
        return f"{call.computed.template}/portable.c.j2"

    def constants(self, operator: Operator) -> dict[str, Array]:
        return operator.constants()

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        return operator.walk(backward)

    def reverses(self, operator: Operator) -> bool:
        return operator.reversible

    def cost(self, call: Call) -> float:
        return portable(call)

    def mix_of(self, call: Call) -> Mix:
        if type(self).mix is Default.mix and isinstance(call.computed, Weighted):
            return DEPTHWISE if call.computed.kind == "DEPTHWISE_CONV_2D" else SUMS
        return self.mix


PORTABLE = Default()
