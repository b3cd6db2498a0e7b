"""Activations."""

from __future__ import annotations

from driftc.codegen.frontends.torch.call import Call
from driftc.codegen.frontends.torch.walk import operator
from driftc.codegen.frontends.value import Value

NAMES = {  # PyTorch's -> the builder's
    "hardsigmoid": "hard_sigmoid",
    "hardsigmoid_": "hard_sigmoid",
    "hardswish": "hard_swish",
    "hardswish_": "hard_swish",
    "relu": "relu",
    "relu6": "relu6",
    "relu6_": "relu6",
    "relu_": "relu",
    "sigmoid": "sigmoid",
    "silu": "silu",
    "silu_": "silu",
    "tanh": "tanh",
}


@operator(*NAMES)
def activation(call: Call) -> Value:
    return call.to.activation(call.label, call.value(), NAMES[call.kind])


@operator("softmax", "_softmax")
def softmax(call: Call) -> Value:
    return call.to.softmax(call.label, call.value(), int(call.args[1]))


@operator("leaky_relu", "leaky_relu_")
def leaky_relu(call: Call) -> Value:
    return call.to.activation(call.label, call.value(), "leaky_relu", float(call.argument(1, "negative_slope", 0.01)))


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
