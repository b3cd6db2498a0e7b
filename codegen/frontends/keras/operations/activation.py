"""Functions of one tensor: `keras.ops.relu(x)`."""

from __future__ import annotations

from typing import Any

from driftc.codegen.frontends.keras.layers.activation import gated
from driftc.codegen.frontends.keras.walk import Walk, operation
from driftc.codegen.tensor import Tensor

NAMES = {  # the classes behind keras.ops -> the builder's
    "Absolute": "abs",
    "Abs": "abs",
    "Exp": "exponential",
    "HardSigmoid": "hard_sigmoid",
    "HardTanh": "hard_tanh",
    "Log": "log",
    "LogSigmoid": "log_sigmoid",
    "Reciprocal": "reciprocal",
    "Rsqrt": "rsqrt",
    "Selu": "selu",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "SparsePlus": "sparse_plus",
    "SparseSigmoid": "sparse_sigmoid",
    "Sqrt": "sqrt",
    "TanhShrink": "tanh_shrink",
    "HardSilu": "hard_swish",
    "Relu": "relu",
    "Relu6": "relu6",
    "Sigmoid": "sigmoid",
    "Silu": "silu",
    "Tanh": "tanh",
}


@operation(*NAMES)
def activation(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.activation(of.name, x, NAMES[type(of).__name__])


@operation("Celu", "Elu")
def elu(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.activation(of.name, x, type(of).__name__.lower(), float(of.alpha))


@operation("Gelu")
def gelu(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.activation(of.name, x, "gelu_tanh" if of.approximate else "gelu")


@operation("Glu")
def glu(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return gated(walk, of.name, x, of.axis)


@operation("SoftShrink")
def soft_shrink(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.activation(of.name, x, "soft_shrink", float(of.threshold))


@operation("Squareplus")
def squareplus(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.activation(of.name, x, "squareplus", float(of.b))


@operation("LeakyRelu")
def leaky_relu(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.activation(of.name, x, "leaky_relu", float(of.negative_slope))


@operation("LogSoftmax", "Softmax")
def softmax(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """Along the last axis."""
    if of.axis % len(x.shape) != len(x.shape) - 1:
        walk.refuse(of, f"softmax along axis {of.axis}; driftc reads the last")
    return walk.builder.activation(of.name, x, "softmax" if type(of).__name__ == "Softmax" else "log_softmax")


@operation("Clip")
def clip(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.clip(of.name, x, of.x_min, of.x_max)
