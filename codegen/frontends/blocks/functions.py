"""Functions of one tensor that take several operators, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.abs import Abs
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.ceil import Ceil
from driftc.codegen.operators.elementwise.div import Div
from driftc.codegen.operators.elementwise.elu import Elu
from driftc.codegen.operators.elementwise.exp import Exp
from driftc.codegen.operators.elementwise.floor import Floor
from driftc.codegen.operators.elementwise.gelu import Gelu
from driftc.codegen.operators.elementwise.greater import Greater
from driftc.codegen.operators.elementwise.leaky_relu import LeakyRelu
from driftc.codegen.operators.elementwise.less import Less
from driftc.codegen.operators.elementwise.log import Log
from driftc.codegen.operators.elementwise.logistic import Logistic
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.elementwise.relu import Relu
from driftc.codegen.operators.elementwise.relu6 import Relu6
from driftc.codegen.operators.elementwise.sqrt import Sqrt
from driftc.codegen.operators.elementwise.sub import Sub
from driftc.codegen.operators.elementwise.tanh import Tanh
from driftc.codegen.tensor import Tensor

if TYPE_CHECKING:
    from driftc.codegen.frontends.blocks.activation import Activation

Several = Callable[["Activation", str, Tensor, float], Tensor]
SELU = (1.6732632423543772, 1.0507009873554805)  # alpha and scale


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


def _hard_shrink(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    """x, and 0 between -alpha and alpha."""
    outside = to.compared(f"{label}/outside", Greater, to.add(Abs, f"{label}/abs", x), alpha)
    return to.select(label, outside, x, 0.0)


def _thresholded_relu(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    """x above alpha, else 0."""
    return to.add(Relu, label, x) if alpha == 0 else to.threshold(label, x, alpha, 0.0)


def _sign(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    """-1, 0 or 1."""
    below = to.select(f"{label}/minus", to.compared(f"{label}/below", Less, x, 0.0), -1.0, 0.0)
    return to.select(label, to.compared(f"{label}/above", Greater, x, 0.0), 1.0, below)


def _trunc(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    """Rounded towards 0."""
    down, up = to.add(Floor, f"{label}/down", x), to.add(Ceil, f"{label}/up", x)
    return to.select(label, to.compared(f"{label}/below", Less, x, 0.0), up, down)


def _hyperbolic(sign: type[Operator]) -> Several:
    """(e^x + e^-x) / 2, or with a minus."""

    def function(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
        other = to.add(Exp, f"{label}/falling", to.with_number(f"{label}/negated", Mul, x, -1.0))
        return to.with_number(label, Mul, to.add(sign, f"{label}/both", to.add(Exp, f"{label}/rising", x), other), 0.5)

    return function


def _log_1p(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    return to.add(Log, label, to.with_number(f"{label}/plus_1", Add, x, 1.0))


def _exp_m1(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    return to.with_number(label, Sub, to.add(Exp, f"{label}/exp", x), 1.0)


def _log_to(base: float) -> Several:
    return lambda to, label, x, alpha: to.with_number(label, Mul, to.add(Log, f"{label}/log", x), 1 / np.log(base))


def _exp_2(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    return to.add(Exp, label, to.with_number(f"{label}/steep", Mul, x, np.log(2.0)))


def _reciprocal(to: Activation, label: str, x: Tensor, alpha: float) -> Tensor:
    return to.with_number(label, Div, x, 1.0, first=True)


SEVERAL: dict[str, Several] = {
    "celu": _celu,
    "cosh": _hyperbolic(Add),
    "elu": _elu,
    "exp2": _exp_2,
    "expm1": _exp_m1,
    "gelu_tanh": _gelu_tanh,
    "hard_shrink": _hard_shrink,
    "hard_sigmoid": _hard_sigmoid,
    "hard_tanh": lambda to, label, x, alpha: to.clip(label, x, -1.0, 1.0),
    "leaky_relu": _leaky_relu,
    "log10": _log_to(10.0),
    "log1p": _log_1p,
    "log2": _log_to(2.0),
    "log_sigmoid": _log_sigmoid,
    "mish": _mish,
    "quick_gelu": _quick_gelu,
    "reciprocal": _reciprocal,
    "selu": _selu,
    "sign": _sign,
    "silu": _silu,
    "sinh": _hyperbolic(Sub),
    "soft_shrink": _soft_shrink,
    "softplus": _softplus,
    "softsign": _softsign,
    "sparse_plus": _sparse_plus,
    "sparse_sigmoid": _sparse_sigmoid,
    "squareplus": _squareplus,
    "tanh_shrink": _tanh_shrink,
    "thresholded_relu": _thresholded_relu,
    "trunc": _trunc,
}
