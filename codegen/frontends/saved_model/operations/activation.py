"""Activations."""

from __future__ import annotations

from driftc.codegen.frontends.saved_model.operation import Operation
from driftc.codegen.frontends.saved_model.walk import operation
from driftc.codegen.tensor import Tensor

NAMES = {  # TensorFlow's -> the builder's
    "Abs": "abs",
    "Ceil": "ceil",
    "Cos": "cos",
    "Cosh": "cosh",
    "Exp": "exponential",
    "Expm1": "expm1",
    "Floor": "floor",
    "Log": "log",
    "Log1p": "log1p",
    "LogSoftmax": "log_softmax",
    "Relu": "relu",
    "Relu6": "relu6",
    "Reciprocal": "reciprocal",
    "Rint": "round",
    "Round": "round",
    "Rsqrt": "rsqrt",
    "Selu": "selu",
    "Sigmoid": "sigmoid",
    "Sign": "sign",
    "Sin": "sin",
    "Sinh": "sinh",
    "Softmax": "softmax",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Sqrt": "sqrt",
    "Tanh": "tanh",
}


@operation(*NAMES)
def activation(found: Operation) -> Tensor:
    return found.to.activation(found.label, found.value(0), NAMES[found.kind])


@operation("LeakyRelu")
def leaky_relu(found: Operation) -> Tensor:
    return found.to.activation(found.label, found.value(0), "leaky_relu", float(found.node.get_attr("alpha")))


@operation("Elu")
def elu(found: Operation) -> Tensor:
    return found.to.activation(found.label, found.value(0), "elu", 1.0)


@operation("ClipByValue")
def clip(found: Operation) -> Tensor:
    low, high = (float(found.constant(place)) for place in (1, 2))
    return found.to.clip(found.label, found.value(0), low, high)
