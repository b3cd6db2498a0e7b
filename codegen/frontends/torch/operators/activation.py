"""Activations."""

from __future__ import annotations

from driftc.codegen.frontends.torch.call import Call
from driftc.codegen.frontends.torch.walk import operator
from driftc.codegen.frontends.value import Value
from driftc.codegen.operators.elementwise.mul import Mul

NAMES = {  # PyTorch's, also with a _ behind them -> the builder's
    "abs": "abs",
    "exp": "exponential",
    "hardsigmoid": "hard_sigmoid",
    "hardswish": "hard_swish",
    "log": "log",
    "log_sigmoid": "log_sigmoid",
    "mish": "mish",
    "reciprocal": "reciprocal",
    "relu": "relu",
    "relu6": "relu6",
    "rsqrt": "rsqrt",
    "selu": "selu",
    "sigmoid": "sigmoid",
    "silu": "silu",
    "sqrt": "sqrt",
    "tanh": "tanh",
}


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


@operator("softshrink")
def soft_shrink(call: Call) -> Value:
    return call.to.activation(call.label, call.value(), "soft_shrink", float(call.argument(1, "lambd", 0.5)))


@operator("glu")
def glu(call: Call) -> Value:
    x, axis = call.value(), int(call.argument(1, "dim", -1))
    half = x.shape[axis] // 2
    a, b = call.to.split(f"{call.label}/halves", x, [half, half], axis)
    return call.to.binary(call.label, Mul, a, call.to.activation(f"{call.label}/sigmoid", b, "sigmoid"))


@operator("clamp", "clamp_")
def clamp(call: Call) -> Value:
    return call.to.clip(call.label, call.value(), call.argument(1, "min", None), call.argument(2, "max", None))


@operator("clamp_min")
def clamp_min(call: Call) -> Value:
    return call.to.clip(call.label, call.value(), float(call.args[1]), None)


@operator("clamp_max")
def clamp_max(call: Call) -> Value:
    return call.to.clip(call.label, call.value(), None, float(call.args[1]))


@operator("hardtanh", "hardtanh_")
def hardtanh(call: Call) -> Value:
    return call.to.clip(call.label, call.value(), call.argument(1, "min_val", -1.0), call.argument(2, "max_val", 1.0))
