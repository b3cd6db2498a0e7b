"""The kernel that every operator has: its portable template, by the loops of its family (portable/loops)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driftc.boards.timing import Mix
from driftc.codegen.kernels.kernel import PLAIN, Changing, Kernel
from driftc.codegen.kernels.portable.loops import loops_of
from driftc.codegen.kernels.walk import Walk
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call


class Default(Kernel):
    """templates/OPERATOR/portable.c.j2."""

    name = "portable"

    def serves(self, call: Call) -> bool:
        return True

    def template(self, call: Call) -> str:
        return f"{call.computed.template}/portable.c.j2"

    def constants(self, operator: Operator) -> dict[str, Array]:
        return loops_of(type(operator)).constants(operator)

    def changing(self, operator: Operator) -> Changing | None:
        return PLAIN if isinstance(operator, Weighted) else Changing("table", ("table",))

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        return loops_of(type(operator)).walk(operator, backward)

    def reverses(self, operator: Operator) -> bool:
        return loops_of(type(operator)).reverses(operator)

    def cost(self, call: Call) -> float:
        return loops_of(type(call.computed)).cost(call)

    def mix_of(self, call: Call) -> Mix:
        return loops_of(type(call.computed)).mix_of(call)


PORTABLE = Default()
