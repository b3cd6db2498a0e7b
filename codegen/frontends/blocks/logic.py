"""Truth values: comparisons, and choices by them."""

from __future__ import annotations

import numpy as np

from driftc.codegen.frontends.blocks.core import Core
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.equal import Equal
from driftc.codegen.operators.elementwise.greater import Greater
from driftc.codegen.operators.elementwise.greater_equal import GreaterEqual
from driftc.codegen.operators.elementwise.less import Less
from driftc.codegen.operators.elementwise.less_equal import LessEqual
from driftc.codegen.operators.elementwise.logical_and import LogicalAnd
from driftc.codegen.operators.elementwise.logical_not import LogicalNot
from driftc.codegen.operators.elementwise.logical_or import LogicalOr
from driftc.codegen.operators.elementwise.not_equal import NotEqual
from driftc.codegen.operators.elementwise.select import Select
from driftc.codegen.tensor import Tensor

# As Keras and TensorFlow call them.
COMPARISONS: dict[str, type[Operator]] = {
    "Equal": Equal,
    "Greater": Greater,
    "GreaterEqual": GreaterEqual,
    "Less": Less,
    "LessEqual": LessEqual,
    "NotEqual": NotEqual,
}


class Logic(Core):
    """What gives truth values, and what reads them."""

    def compared(self, label: str, kind: type[Operator], x: Tensor, number: float) -> Tensor:
        """Where x < number, x > number and so on, as `kind` has it."""
        return self.add(kind, label, x, self.constant(f"{label}/number", np.full(1, number)))

    def negation(self, label: str, x: Tensor) -> Tensor:
        return self.add(LogicalNot, label, x)

    def differ(self, label: str, a: Tensor, b: Tensor) -> Tensor:
        """Where one of two truth values holds, and not both."""
        either, both = self.add(LogicalOr, f"{label}/either", a, b), self.add(LogicalAnd, f"{label}/both", a, b)
        return self.add(LogicalAnd, label, either, self.negation(f"{label}/not_both", both))

    def select(self, label: str, condition: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
        """`a` where the condition holds, else `b`; either may be a number."""
        parts = [
            x if isinstance(x, Tensor) else self.constant(f"{label}/{name}", np.full(1, x))
            for name, x in (("then", a), ("else", b))
        ]
        return self.add(Select, label, condition, *parts)

    def as_real(self, label: str, x: Tensor) -> Tensor:
        """1 where a truth value holds, else 0; real values as they are."""
        return self.select(label, x, 1.0, 0.0) if x.dtype == np.bool_ else x
