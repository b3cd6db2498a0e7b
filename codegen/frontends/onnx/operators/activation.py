"""Activations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

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
    return node.to.clip(node.label, node.value(0), low, high)


@operator("Softmax")
def softmax(node: Node) -> Value:
    return node.to.softmax(node.label, node.value(0), int(node.attribute("axis", -1)))


@operator("HardSigmoid")
def hard_sigmoid(node: Node) -> Value:
    slope, offset = float(node.attribute("alpha", 0.2)), float(node.attribute("beta", 0.5))
    if abs(slope - 1 / 6) < 1e-6 and offset == 0.5:
        node.walk.gates[node.output] = node.inputs[0]
        return node.to.activation(node.label, node.value(0), "hard_sigmoid")
    x = node.value(0)
    line = node.to.builder.affine(f"{node.label}/line", x.tensor, np.full(1, slope), np.full(1, offset))
    return node.to.clip(node.label, replace(x, tensor=line), 0.0, 1.0)
