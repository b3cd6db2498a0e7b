"""Normalisation, by constants and by the sample's own mean and variance."""

from __future__ import annotations

import numpy as np

from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.frontends.onnx.node import Node
from driftc.codegen.frontends.onnx.operators.pooling import order_of
from driftc.codegen.frontends.onnx.walk import operator


@operator("BatchNormalization")
def batch_norm(node: Node) -> Value:
    if node.attribute("training_mode", 0):
        node.refuse("was exported in training mode; export the model in eval mode")
    gamma, beta, mean, variance = (node.constant(place) for place in range(1, 5))
    epsilon = float(node.attribute("epsilon", 1e-5))
    return node.to.batch_norm(node.label, node.value(0), gamma, beta, mean, variance, epsilon)


@operator("LayerNormalization")
def layer_norm(node: Node) -> Value:
    x = node.value(0)
    axes = range(int(node.attribute("axis", -1)) % x.rank, x.rank)
    epsilon = float(node.attribute("epsilon", 1e-5))
    return node.to.layer_norm(node.label, x, axes, node.constant(1), node.optional(2), epsilon)


@operator("RMSNormalization")
def rms_norm(node: Node) -> Value:
    x = node.value(0)
    axes = range(int(node.attribute("axis", -1)) % x.rank, x.rank)
    epsilon = float(node.attribute("epsilon", 1e-5))
    return node.to.layer_norm(node.label, x, axes, node.constant(1), None, epsilon, centred=False)


@operator("MeanVarianceNormalization")
def mean_variance(node: Node) -> Value:
    """Over axes beside the batch, which is 1."""
    x = node.value(0)
    axes = [int(axis) for axis in node.attribute("axes", [0, 2, 3]) if int(axis) % x.rank]
    return node.to.layer_norm(node.label, x, axes, None, None, 1e-9)


@operator("LpNormalization")
def unit(node: Node) -> Value:
    """Of order 1 or 2."""
    return node.to.unit(node.label, node.value(0), int(node.attribute("axis", -1)), order_of(node))


@operator("InstanceNormalization")
def instance_norm(node: Node) -> Value:
    x = node.value(0)
    shape = (-1, *(1,) * (x.rank - 2))
    gamma, beta = (node.constant(place).reshape(shape) for place in (1, 2))
    return node.to.layer_norm(node.label, x, range(2, x.rank), gamma, beta, float(node.attribute("epsilon", 1e-5)))


@operator("GroupNormalization")
def group_norm(node: Node) -> Value:
    x, groups = node.value(0), int(node.attribute("num_groups", 1))
    # Up to opset 20 scale and bias are of groups, then of channels.
    gamma, beta = (np.repeat(node.constant(n), x.shape[1] // node.constant(n).size) for n in (1, 2))
    return node.to.group_norm(node.label, x, groups, gamma, beta, float(node.attribute("epsilon", 1e-5)))
