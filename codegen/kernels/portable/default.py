"""The kernel that every operator has: the template, constants and walk that the operator itself names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driftc.codegen.kernels.cost import portable
from driftc.codegen.kernels.kernel import Kernel
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.walk import Walk
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.plan import Call


class Default(Kernel):
    """templates/OPERATOR/portable.c.j2."""

    name = "portable"

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


PORTABLE = Default()
