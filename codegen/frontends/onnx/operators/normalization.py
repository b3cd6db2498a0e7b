"""Normalisation by constants."""

from __future__ import annotations

from driftc.codegen.frontends.onnx.node import Node
from driftc.codegen.frontends.onnx.walk import operator
from driftc.codegen.frontends.value import Value


@operator("BatchNormalization")
def batch_norm(node: Node) -> Value:
    if node.attribute("training_mode", 0):
        node.refuse("was exported in training mode; export the model in eval mode")
    gamma, beta, mean, variance = (node.constant(place) for place in range(1, 5))
    epsilon = float(node.attribute("epsilon", 1e-5))
    return node.to.batch_norm(node.label, node.value(0), gamma, beta, mean, variance, epsilon)
