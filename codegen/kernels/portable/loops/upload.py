"""The loops of what decides about uploads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driftc.codegen.kernels.portable.loops import Loops
from driftc.codegen.operators.upload.decision_entropy import DecisionEntropy
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

CLASS, REST = 14.0, 90.0  # instructions


class DecisionEntropyLoops(Loops[DecisionEntropy]):
    """The logits twice."""

    operators = (DecisionEntropy,)

    def constants(self, op: DecisionEntropy) -> dict[str, Array]:
        return {"powers": op.powers}

    def work(self, op: DecisionEntropy, call: Call) -> float:
        return REST + CLASS * op.classes
