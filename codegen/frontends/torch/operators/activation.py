"""Activations."""

from __future__ import annotations

from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.frontends.torch.call import Call
from driftc.codegen.frontends.torch.operators.arithmetic import combined
from driftc.codegen.frontends.torch.walk import operator
from driftc.codegen.operators.elementwise.maximum import Maximum
from driftc.codegen.operators.elementwise.minimum import Minimum
from driftc.codegen.operators.elementwise.mul import Mul

NAMES = {  # PyTorch's, also with a _ behind them -> the builder's
    "abs": "abs",
    "ceil": "ceil",
    "cos": "cos",
    "cosh": "cosh",
    "exp": "exponential",
    "exp2": "exp2",
    "expm1": "expm1",
    "floor": "floor",
    "hardsigmoid": "hard_sigmoid",
    "hardswish": "hard_swish",
    "log": "log",
    "log10": "log10",
    "log1p": "log1p",
    "log2": "log2",
    "log_sigmoid": "log_sigmoid",
    "mish": "mish",
    "reciprocal": "reciprocal",
    "relu": "relu",
    "relu6": "relu6",
    "round": "round",
    "rsqrt": "rsqrt",
    "selu": "selu",
    "sigmoid": "sigmoid",
    "sign": "sign",
    "silu": "silu",
    "sin": "sin",
    "sinh": "sinh",
    "softsign": "softsign",
    "sqrt": "sqrt",
    "tanh": "tanh",
    "trunc": "trunc",
}
SLOPES = (("lower", 1 / 8), ("upper", 1 / 3))  # of rrelu


@operator(*NAMES, *(f"{name}_" for name in NAMES))
def activation(call: Call) -> Value:
    return call.to.activation(call.label, call.value(), NAMES[call.kind.removesuffix("_")])


@operator("log_softmax", "softmax", "_log_softmax", "_softmax")
def softmax(call: Call) -> Value:
    return call.to.softmax(call.label, call.value(), int(call.args[1]), call.kind.removeprefix("_"))


@operator("leaky_relu", "leaky_relu_")
def leaky_relu(call: Call) -> Value:
    return call.to.activation(call.label, call.value(), "leaky_relu", float(call.argument(1, "negative_slope", 0.01)))


@operator("celu", "celu_", "elu", "elu_")
def elu(call: Call) -> Value:
    alpha = float(call.argument(1, "alpha", 1.0))
    return call.to.activation(call.label, call.value(), call.kind.removesuffix("_"), alpha)


@operator("gelu")
def gelu(call: Call) -> Value:
    name = "gelu_tanh" if call.argument(1, "approximate", "none") == "tanh" else "gelu"
    return call.to.activation(call.label, call.value(), name)


@operator("softplus")
def softplus(call: Call) -> Value:
    return call.to.activation(call.label, call.value(), "softplus", float(call.argument(1, "beta", 1.0)))


@operator("prelu")
def prelu(call: Call) -> Value:
    x, alpha = call.value(), call.constant(call.args[1])
    return call.to.prelu(call.label, x, alpha.reshape(-1, *(1,) * (x.rank - 2)) if x.rank > 1 else alpha)


@operator("threshold", "threshold_")
def threshold(call: Call) -> Value:
    limit, value = (float(call.argument(place, name, 0.0)) for place, name in ((1, "threshold"), (2, "value")))
    return call.to.threshold(call.label, call.value(), limit, value)


@operator("rrelu", "rrelu_", "rrelu_with_noise")
def randomised_relu(call: Call) -> Value:
    """As in eval mode: the mean of both slopes."""
    place = 2 if call.kind == "rrelu_with_noise" else 1
    low, high = (float(call.argument(place + n, name, d)) for n, (name, d) in enumerate(SLOPES))
    return call.to.activation(call.label, call.value(), "leaky_relu", (low + high) / 2)


@operator("hardshrink")
def hard_shrink(call: Call) -> Value:
    return call.to.activation(call.label, call.value(), "hard_shrink", float(call.argument(1, "lambd", 0.5)))


@operator("softshrink")
def soft_shrink(call: Call) -> Value:
    return call.to.activation(call.label, call.value(), "soft_shrink", float(call.argument(1, "lambd", 0.5)))


@operator("glu")
def glu(call: Call) -> Value:
    x, axis = call.value(), int(call.argument(1, "dim", -1))
    half = x.shape[axis] // 2
    a, b = call.to.split(f"{call.label}/halves", x, [half, half], axis)
    return call.to.binary(call.label, Mul, a, call.to.activation(f"{call.label}/sigmoid", b, "sigmoid"))


@operator("clamp", "clamp_", "clip")
def clamp(call: Call) -> Value:
    """By numbers or tensors."""
    bounds = (call.argument(1, "min", None), call.argument(2, "max", None))
    if all(bound is None or isinstance(bound, int | float) for bound in bounds):
        return call.to.clip(call.label, call.value(), bounds[0], bounds[1])
    x = call.value()
    for kind, bound in zip((Maximum, Minimum), bounds, strict=True):
        if bound is not None:
            x = combined(call, kind, x, call.operand(bound))
    return x


@operator("clamp_min")
def clamp_min(call: Call) -> Value:
    return call.to.clip(call.label, call.value(), float(call.args[1]), None)


@operator("clamp_max")
def clamp_max(call: Call) -> Value:
    return call.to.clip(call.label, call.value(), None, float(call.args[1]))


@operator("hardtanh", "hardtanh_")
def hardtanh(call: Call) -> Value:
    return call.to.clip(call.label, call.value(), call.argument(1, "min_val", -1.0), call.argument(2, "max_val", 1.0))
