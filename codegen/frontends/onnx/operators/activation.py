"""Activations."""

from __future__ import annotations

from driftc.codegen.frontends.onnx.node import Node
from driftc.codegen.frontends.onnx.walk import operator
from driftc.codegen.frontends.value import Value

NAMES = {"Relu": "relu", "HardSwish": "hard_swish", "Sigmoid": "sigmoid", "Tanh": "tanh"}  # -> the builder's


@operator(*NAMES)
def activation(node: Node) -> Value:
    return node.to.activation(node.label, node.value(0), NAMES[node.kind])


@operator("LeakyRelu")
def leaky_relu(node: Node) -> Value:
    return node.to.activation(node.label, node.value(0), "leaky_relu", float(node.attribute("alpha", 0.01)))


@operator("Clip")
def clip(node: Node) -> Value:
    bounds = [node.optional(place) for place in (1, 2)]
    low, high = (None if b is None else float(b.reshape(-1)[0]) for b in bounds)
    low = node.attribute("min", low)
    high = node.attribute("max", high)
    if low != 0 or high not in (None, 6):
        node.refuse(f"clips to {low}..{high}; driftc reads 0..6 and 0..")
    return node.to.activation(node.label, node.value(0), "relu6" if high == 6 else "relu")


@operator("Softmax")
def softmax(node: Node) -> Value:
    return node.to.softmax(node.label, node.value(0), int(node.attribute("axis", -1)))


@operator("HardSigmoid")
def hard_sigmoid(node: Node) -> Value:
    slope, offset = float(node.attribute("alpha", 0.2)), float(node.attribute("beta", 0.5))
    if abs(slope - 1 / 6) > 1e-6 or offset != 0.5:
        node.refuse(f"HardSigmoid is {slope:g} x + {offset:g} here; driftc reads x/6 + 0.5")
    node.walk.gates[node.output] = node.inputs[0]
    return node.to.activation(node.label, node.value(0), "hard_sigmoid")
