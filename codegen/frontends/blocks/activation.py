"""Activations: by an operator of their own where .tflite has one, else by several."""

from __future__ import annotations

import numpy as np

from driftc.codegen.frontends.blocks.functions import SEVERAL
from driftc.codegen.frontends.blocks.logic import Logic
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.abs import Abs
from driftc.codegen.operators.elementwise.ceil import Ceil
from driftc.codegen.operators.elementwise.cos import Cos
from driftc.codegen.operators.elementwise.exp import Exp
from driftc.codegen.operators.elementwise.floor import Floor
from driftc.codegen.operators.elementwise.gelu import Gelu
from driftc.codegen.operators.elementwise.greater import Greater
from driftc.codegen.operators.elementwise.hard_swish import HardSwish
from driftc.codegen.operators.elementwise.log import Log
from driftc.codegen.operators.elementwise.logistic import Logistic
from driftc.codegen.operators.elementwise.maximum import Maximum
from driftc.codegen.operators.elementwise.minimum import Minimum
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.elementwise.prelu import Prelu
from driftc.codegen.operators.elementwise.relu import Relu
from driftc.codegen.operators.elementwise.relu6 import Relu6
from driftc.codegen.operators.elementwise.round import Round
from driftc.codegen.operators.elementwise.rsqrt import Rsqrt
from driftc.codegen.operators.elementwise.sin import Sin
from driftc.codegen.operators.elementwise.sqrt import Sqrt
from driftc.codegen.operators.elementwise.tanh import Tanh
from driftc.codegen.operators.normalization.log_softmax import LogSoftmax
from driftc.codegen.operators.reduction.softmax import Softmax
from driftc.codegen.tensor import Array, Tensor

ONE_OPERATOR: dict[str, type[Operator]] = {
    "abs": Abs,
    "ceil": Ceil,
    "cos": Cos,
    "exponential": Exp,
    "floor": Floor,
    "gelu": Gelu,
    "hard_swish": HardSwish,
    "log": Log,
    "log_softmax": LogSoftmax,
    "relu": Relu,
    "relu6": Relu6,
    "round": Round,
    "rsqrt": Rsqrt,
    "sigmoid": Logistic,
    "sin": Sin,
    "softmax": Softmax,
    "sqrt": Sqrt,
    "tanh": Tanh,
}


class Activation(Logic):
    """Functions of one tensor."""

    def activation(self, label: str, x: Tensor, name: str, alpha: float = 0.0) -> Tensor:
        """By its name in ONE_OPERATOR or SEVERAL, or 'linear'; `alpha` where the function has one."""
        if name == "linear":
            return x
        if name in ONE_OPERATOR:
            return self.add(ONE_OPERATOR[name], label, x)
        if name not in SEVERAL:
            self.refuse(f"'{label}': activation '{name}' is not supported; docs/models.md lists those that are")
        return SEVERAL[name](self, label, x, alpha)

    def clip(self, label: str, x: Tensor, low: float | None, high: float | None) -> Tensor:
        """Values between bounds; None is no bound."""
        low = None if low is None or not np.isfinite(low) else float(low)
        high = None if high is None or not np.isfinite(high) else float(high)
        if low == 0 and high in (None, 6):
            return self.add(Relu if high is None else Relu6, label, x)
        if low == 0:
            x, low = self.add(Relu, f"{label}/relu", x), None
        if high is not None:
            x = self.with_number(label if low is None else f"{label}/minimum", Minimum, x, high)
        return x if low is None else self.with_number(label, Maximum, x, low)

    def power(self, label: str, x: Tensor, exponent: float) -> Tensor:
        """To the power of 1 to 4, 0.5, -0.5 or -1."""
        roots = {0.5: "sqrt", -0.5: "rsqrt", -1.0: "reciprocal"}
        if exponent in roots:
            return self.activation(label, x, roots[exponent])
        if exponent not in (1, 2, 3, 4):
            self.refuse(f"'{label}': power {exponent:g}; driftc reads 1 to 4, 0.5, -0.5 and -1")
        y = x
        for number in range(2, int(exponent) + 1):
            y = self.add(Mul, label if number == exponent else f"{label}/{number}", y, x)
        return y

    def prelu(self, label: str, x: Tensor, alpha: Array) -> Tensor:
        """x, below 0 alpha x; `alpha` broadcasts."""
        if np.all(alpha == alpha.flat[0]):
            return self.activation(label, x, "leaky_relu", float(alpha.flat[0]))
        kept = next((axis for axis, n in enumerate(alpha.shape) if n > 1), 0)
        return self.add(Prelu, label, x, self.constant(f"{label}/alpha", alpha.reshape(alpha.shape[kept:])))

    def threshold(self, label: str, x: Tensor, limit: float, value: float) -> Tensor:
        """x above `limit`, else `value`."""
        return self.select(label, self.compared(f"{label}/above", Greater, x, limit), x, value)

    def with_number(self, label: str, kind: type[Operator], x: Tensor, number: float, first: bool = False) -> Tensor:
        """An operator of the tensor and a number, which is the first operand where `first`."""
        constant = self.constant(f"{label}/number", np.full(1, number))
        return self.add(kind, label, *((constant, x) if first else (x, constant)))
