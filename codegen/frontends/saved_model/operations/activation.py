"""Activations."""

from __future__ import annotations

from driftc.codegen.frontends.saved_model.operation import Operation
from driftc.codegen.frontends.saved_model.walk import operation
from driftc.codegen.graph import Tensor

# TensorFlow's -> the builder's
NAMES = {"Relu": "relu", "Relu6": "relu6", "Sigmoid": "sigmoid", "Softmax": "softmax", "Tanh": "tanh"}


@operation(*NAMES)
def activation(found: Operation) -> Tensor:
    return found.to.activation(found.label, found.value(0), NAMES[found.kind])


@operation("LeakyRelu")
def leaky_relu(found: Operation) -> Tensor:
    return found.to.activation(found.label, found.value(0), "leaky_relu", float(found.node.get_attr("alpha")))
