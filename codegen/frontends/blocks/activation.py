"""Activations: by an operator of their own where .tflite has one, else by several."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from driftc.codegen.frontends.blocks.core import Core
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.abs import Abs
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.div import Div
from driftc.codegen.operators.elementwise.elu import Elu
from driftc.codegen.operators.elementwise.exp import Exp
from driftc.codegen.operators.elementwise.gelu import Gelu
from driftc.codegen.operators.elementwise.hard_swish import HardSwish
from driftc.codegen.operators.elementwise.leaky_relu import LeakyRelu
from driftc.codegen.operators.elementwise.log import Log
from driftc.codegen.operators.elementwise.logistic import Logistic
from driftc.codegen.operators.elementwise.maximum import Maximum
from driftc.codegen.operators.elementwise.minimum import Minimum
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.elementwise.prelu import Prelu
from driftc.codegen.operators.elementwise.relu import Relu
from driftc.codegen.operators.elementwise.relu6 import Relu6
from driftc.codegen.operators.elementwise.rsqrt import Rsqrt
from driftc.codegen.operators.elementwise.sqrt import Sqrt
from driftc.codegen.operators.elementwise.sub import Sub
from driftc.codegen.operators.elementwise.tanh import Tanh
from driftc.codegen.operators.normalization.log_softmax import LogSoftmax
from driftc.codegen.operators.reduction.softmax import Softmax
from driftc.codegen.tensor import Array, Tensor

ONE_OPERATOR: dict[str, type[Operator]] = {
    "abs": Abs,
    "exponential": Exp,
    "gelu": Gelu,
    "hard_swish": HardSwish,
    "log": Log,
    "log_softmax": LogSoftmax,
    "relu": Relu,
    "relu6": Relu6,
    "rsqrt": Rsqrt,
    "sigmoid": Logistic,
    "softmax": Softmax,
    "sqrt": Sqrt,
    "tanh": Tanh,
}
SELU = (1.6732632423543772, 1.0507009873554805)  # alpha and scale


class Activation(Core):
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

    def with_number(self, label: str, kind: type[Operator], x: Tensor, number: float, first: bool = False) -> Tensor:
        """An operator of the tensor and a number, which is the first operand where `first`."""
        constant = self.constant(f"{label}/number", np.full(1, number))
        return self.add(kind, label, *((constant, x) if first else (x, constant)))


Several = Callable[[Activation, str, Tensor, float], Tensor]


def _leaky_relu(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    return to.add(Relu, label, x) if alpha == 0 else to.add(LeakyRelu, label, x, alpha=alpha)


def _silu(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    """x sigmoid(x)."""
    return to.add(Mul, label, x, to.add(Logistic, f"{label}/sigmoid", x))


def _mish(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    """x tanh(log(1 + e^x)), which is x (1 - q) / (1 + q) with q = sigmoid(-x)^2."""
    other = to.add(Logistic, f"{label}/sigmoid", to.with_number(f"{label}/negated", Mul, x, -1.0))
    square = to.add(Mul, f"{label}/square", other, other)
    above = to.with_number(f"{label}/above", Sub, square, 1.0, first=True)
    below = to.with_number(f"{label}/below", Add, square, 1.0)
    return to.add(Mul, label, x, to.add(Div, f"{label}/gate", above, below))


def _softplus(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    """log(1 + e^(a x)) / a, a = 1 where `alpha` is 0: relu(x) - log(sigmoid(|x|)), exact at both ends."""
    steep = alpha or 1.0
    y = x if steep == 1 else to.with_number(f"{label}/scaled", Mul, x, steep)
    rest = to.add(Log, f"{label}/log", to.add(Logistic, f"{label}/sigmoid", to.add(Abs, f"{label}/abs", y)))
    y = to.add(Sub, label if steep == 1 else f"{label}/softplus", to.add(Relu, f"{label}/relu", y), rest)
    return y if steep == 1 else to.with_number(label, Mul, y, 1 / steep)


def _log_sigmoid(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    """-log(1 + e^-x): log(sigmoid(|x|)) - relu(-x)."""
    rest = to.add(Log, f"{label}/log", to.add(Logistic, f"{label}/sigmoid", to.add(Abs, f"{label}/abs", x)))
    below = to.add(Relu, f"{label}/relu", to.with_number(f"{label}/negated", Mul, x, -1.0))
    return to.add(Sub, label, rest, below)


def _softsign(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    """x / (1 + |x|)."""
    return to.add(Div, label, x, to.with_number(f"{label}/below", Add, to.add(Abs, f"{label}/abs", x), 1.0))


def _elu(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    """x, below 0 alpha (e^x - 1)."""
    return _mixed_elu(to, label, x, alpha, 1.0)


def _selu(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    return _mixed_elu(to, label, x, *SELU)


def _mixed_elu(to: Activation, label: str, x: Tensor, alpha: float, scale: float) -> Tensor:
    """scale * (alpha * elu(x) + (1 - alpha) * relu(x))."""
    if alpha == scale == 1:
        return to.add(Elu, label, x)
    elu = to.with_number(f"{label}/elu_part", Mul, to.add(Elu, f"{label}/elu", x), scale * alpha)
    relu = to.with_number(f"{label}/relu_part", Mul, to.add(Relu, f"{label}/relu", x), scale * (1 - alpha))
    return to.add(Add, label, elu, relu)


def _celu(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    """x, below 0 alpha (e^(x / alpha) - 1)."""
    if alpha == 1:
        return to.add(Elu, label, x)
    narrow = to.with_number(f"{label}/narrow", Mul, x, 1 / alpha)
    return to.with_number(label, Mul, to.add(Elu, f"{label}/elu", narrow), alpha)


def _gelu_tanh(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    return to.add(Gelu, label, x, approximate=True)


def _quick_gelu(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    """x sigmoid(alpha x)."""
    steep = to.with_number(f"{label}/steep", Mul, x, alpha)
    return to.add(Mul, label, x, to.add(Logistic, f"{label}/sigmoid", steep))


def _hard_sigmoid(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    """relu6(x + 3) / 6."""
    kept = to.add(Relu6, f"{label}/relu6", to.with_number(f"{label}/shifted", Add, x, 3.0))
    return to.with_number(label, Mul, kept, 1 / 6)


def _tanh_shrink(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    return to.add(Sub, label, x, to.add(Tanh, f"{label}/tanh", x))


def _soft_shrink(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    """x moved by alpha towards 0, which it does not cross."""
    return to.add(Sub, label, x, to.clip(f"{label}/clip", x, -alpha, alpha))


def _sparse_sigmoid(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    """(x + 1) / 2 between 0 and 1."""
    return to.clip(label, to.with_number(f"{label}/half", Mul, to.with_number(f"{label}/up", Add, x, 1.0), 0.5), 0, 1)


def _sparse_plus(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    """0 up to -1, x from 1 on, a parabola between them."""
    ramp = _sparse_sigmoid(to, f"{label}/ramp", x, 0.0)
    rest = to.add(Relu, f"{label}/rest", to.with_number(f"{label}/down", Sub, x, 1.0))
    return to.add(Add, label, to.add(Mul, f"{label}/parabola", ramp, ramp), rest)


def _squareplus(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    """(x + sqrt(x^2 + alpha)) / 2."""
    under = to.with_number(f"{label}/under", Add, to.add(Mul, f"{label}/square", x, x), alpha)
    total = to.add(Add, f"{label}/sum", x, to.add(Sqrt, f"{label}/root", under))
    return to.with_number(label, Mul, total, 0.5)


def _reciprocal(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    return to.with_number(label, Div, x, 1.0, first=True)


SEVERAL: dict[str, Several] = {
    "celu": _celu,
    "elu": _elu,
    "gelu_tanh": _gelu_tanh,
    "hard_sigmoid": _hard_sigmoid,
    "hard_tanh": lambda to, label, x, alpha: to.clip(label, x, -1.0, 1.0),
    "leaky_relu": _leaky_relu,
    "log_sigmoid": _log_sigmoid,
    "mish": _mish,
    "quick_gelu": _quick_gelu,
    "reciprocal": _reciprocal,
    "selu": _selu,
    "silu": _silu,
    "soft_shrink": _soft_shrink,
    "softplus": _softplus,
    "softsign": _softsign,
    "sparse_plus": _sparse_plus,
    "sparse_sigmoid": _sparse_sigmoid,
    "squareplus": _squareplus,
    "tanh_shrink": _tanh_shrink,
}
