"""Activations."""

from __future__ import annotations

import numpy as np

from driftc.codegen.frontends.blocks.core import Core
from driftc.codegen.graph import Tensor
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.hard_swish import HardSwish
from driftc.codegen.operators.elementwise.leaky_relu import LeakyRelu
from driftc.codegen.operators.elementwise.logistic import Logistic
from driftc.codegen.operators.elementwise.maximum import Maximum
from driftc.codegen.operators.elementwise.minimum import Minimum
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.elementwise.relu import Relu
from driftc.codegen.operators.elementwise.relu6 import Relu6
from driftc.codegen.operators.elementwise.tanh import Tanh
from driftc.codegen.operators.reduction.softmax import Softmax

ACTIVATIONS: dict[str, type[Operator]] = {
    "relu": Relu,
    "relu6": Relu6,
    "hard_swish": HardSwish,
    "sigmoid": Logistic,
    "tanh": Tanh,
    "softmax": Softmax,
}


class Activation(Core):
    """Functions of one tensor."""

    def activation(self, label: str, x: Tensor, name: str, alpha: float = 0.0) -> Tensor:
        """By its name in ACTIVATIONS, or 'linear', 'leaky_relu', 'silu' or 'hard_sigmoid', relu6(x + 3) / 6."""
        if name == "linear":
            return x
        if name == "leaky_relu":
            return self.activation(label, x, "relu") if alpha == 0 else self.add(LeakyRelu, label, x, alpha=alpha)
        if name == "silu":
            return self.add(Mul, label, x, self.activation(f"{label}/sigmoid", x, "sigmoid"))
        if name == "hard_sigmoid":
            shifted = self.add(Add, f"{label}/shifted", x, self.constant(f"{label}/three", np.full(1, 3.0)))
            kept = self.add(Relu6, f"{label}/relu6", shifted)
            return self.add(Mul, label, kept, self.constant(f"{label}/sixth", np.full(1, 1 / 6)))
        if name not in ACTIVATIONS:
            known = ", ".join(sorted([*ACTIVATIONS, "hard_sigmoid", "leaky_relu", "linear", "silu"]))
            self.refuse(f"'{label}': activation '{name}' is not supported; {known} are")
        return self.add(ACTIVATIONS[name], label, x)

    def clip(self, label: str, x: Tensor, low: float | None, high: float | None) -> Tensor:
        """Values between bounds; None is no bound."""
        low = None if low is None or not np.isfinite(low) else float(low)
        high = None if high is None or not np.isfinite(high) else float(high)
        if low == 0:
            x = self.add(Relu6 if high == 6 else Relu, label if high in (None, 6) else f"{label}/relu", x)
            low, high = None, None if high == 6 else high
        if high is not None:
            ceiling = self.constant(f"{label}/high", np.full(1, high))
            x = self.add(Minimum, label if low is None else f"{label}/minimum", x, ceiling)
        return x if low is None else self.add(Maximum, label, x, self.constant(f"{label}/low", np.full(1, low)))
