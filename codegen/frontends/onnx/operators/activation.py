"""Activations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.frontends.onnx.node import Node
from driftc.codegen.frontends.onnx.walk import operator

NAMES = {  # ONNX's -> the builder's
    "Abs": "abs",
    "Ceil": "ceil",
    "Cos": "cos",
    "Cosh": "cosh",
    "Exp": "exponential",
    "Floor": "floor",
    "HardSwish": "hard_swish",
    "Log": "log",
    "Mish": "mish",
    "Reciprocal": "reciprocal",
    "Relu": "relu",
    "Round": "round",
    "Selu": "selu",
    "Sigmoid": "sigmoid",
    "Sign": "sign",
    "Sin": "sin",
    "Sinh": "sinh",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Sqrt": "sqrt",
    "Tanh": "tanh",
}


@operator(*NAMES)
def activation(node: Node) -> Value:
    return node.to.activation(node.label, node.value(0), NAMES[node.kind])


@operator("LeakyRelu")
def leaky_relu(node: Node) -> Value:
    return node.to.activation(node.label, node.value(0), "leaky_relu", float(node.attribute("alpha", 0.01)))


@operator("Celu", "Elu")
def elu(node: Node) -> Value:
    alpha = float(node.attribute("alpha", 1.0))
    return node.to.activation(node.label, node.value(0), node.kind.lower(), alpha)


@operator("Swish", "com.microsoft.QuickGelu")
def swish(node: Node) -> Value:
    alpha = float(node.attribute("alpha", 1.0 if node.kind == "Swish" else 1.702))
    return node.to.activation(node.label, node.value(0), "silu" if alpha == 1 else "quick_gelu", alpha)


@operator("ThresholdedRelu")
def thresholded_relu(node: Node) -> Value:
    return node.to.activation(node.label, node.value(0), "thresholded_relu", float(node.attribute("alpha", 1.0)))


@operator("Shrink")
def shrink(node: Node) -> Value:
    """Hard, with bias 0; or soft, where the bias is lambd."""
    limit, bias = float(node.attribute("lambd", 0.5)), float(node.attribute("bias", 0.0))
    if bias not in (0.0, limit) or limit < 0:
        node.refuse(f"has lambd {limit:g} and bias {bias:g}; driftc reads a bias of 0 (hard) or of lambd (soft)")
    return node.to.activation(node.label, node.value(0), "soft_shrink" if bias else "hard_shrink", limit)


@operator("Gelu")
def gelu(node: Node) -> Value:
    name = "gelu_tanh" if node.attribute("approximate", b"none") == b"tanh" else "gelu"
    return node.to.activation(node.label, node.value(0), name)


@operator("PRelu")
def prelu(node: Node) -> Value:
    return node.to.prelu(node.label, node.value(0), node.constant(1))


@operator("Clip")
def clip(node: Node) -> Value:
    bounds = [node.optional(place) for place in (1, 2)]
    low, high = (None if b is None else float(b.reshape(-1)[0]) for b in bounds)
    low = node.attribute("min", low)
    high = node.attribute("max", high)
    return node.to.clip(node.label, node.value(0), low, high)


@operator("LogSoftmax", "Softmax")
def softmax(node: Node) -> Value:
    name = "softmax" if node.kind == "Softmax" else "log_softmax"
    x, together = node.value(0), node.walk.opset < 13  # then over all axes from this one on
    axis = int(node.attribute("axis", 1 if together else -1)) % x.rank
    if together and any(n > 1 for n in x.shape[axis + 1 :]):
        flat = node.to.reshape(f"{node.label}/flat", x, (*x.shape[:axis], -1))
        return node.to.reshape(node.label, node.to.softmax(node.label, flat, axis, name), x.shape)
    return node.to.softmax(node.label, x, axis, name)


@operator("HardSigmoid")
def hard_sigmoid(node: Node) -> Value:
    slope, offset = float(node.attribute("alpha", 0.2)), float(node.attribute("beta", 0.5))
    if abs(slope - 1 / 6) < 1e-6 and offset == 0.5:
        node.walk.gates[node.output] = node.inputs[0]
        return node.to.activation(node.label, node.value(0), "hard_sigmoid")
    x = node.value(0)
    line = node.to.builder.affine(f"{node.label}/line", x.tensor, np.full(1, slope), np.full(1, offset))
    return node.to.clip(node.label, replace(x, tensor=line), 0.0, 1.0)


@operator("Erf")
def erf(node: Node) -> Value:
    """Within GELU, as exporters write it before opset 20."""
    walk = node.walk
    made_by = {output: proto for proto in walk.model.graph.node for output in proto.output}

    def times(name: str, factor: float) -> str | None:
        """What `name` is `factor` times of, by Mul or Div with a constant."""
        proto = made_by.get(name)
        if proto is None or proto.op_type not in ("Mul", "Div"):
            return None
        for value, number in (tuple(proto.input), tuple(proto.input)[::-1]):
            found = walk.constants.get(number)
            if found is not None and found.size == 1:
                scale = float(found.reshape(-1)[0])
                scale = 1 / scale if proto.op_type == "Div" and scale else scale
                return value if abs(scale - factor) < 1e-4 else None
        return None

    x = times(node.inputs[0], 0.5**0.5)
    for above in walk.readers(node.output):
        for product in walk.readers(above.output[0]) if above.op_type == "Add" else []:
            other = next((name for name in product.input if name != above.output[0]), "")
            if product.op_type != "Mul" or x is None or x not in walk.values:
                continue
            ends = [product.output[0]] if times(other, 0.5) == x else []
            if other == x:
                ends = [half.output[0] for half in walk.readers(product.output[0]) if times(half.output[0], 0.5)]
            for end in ends:
                walk.replaced[end] = node.to.activation(node.label, walk.values[x], "gelu")
                return walk.values[x]  # what reads the Erf itself is not needed any more
    return node.refuse("Erf is read within GELU alone: x / 2 * (1 + erf(x / sqrt 2))")
