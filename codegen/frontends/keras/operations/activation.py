"""Functions of one tensor: `keras.ops.relu(x)`."""

from __future__ import annotations

from typing import Any

from driftc.codegen.frontends.keras.layers.activation import along, gated
from driftc.codegen.frontends.keras.walk import Walk, operation
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.tensor import Tensor

NAMES = {  # the classes behind keras.ops -> the builder's
    "Absolute": "abs",
    "Abs": "abs",
    "Ceil": "ceil",
    "Cos": "cos",
    "Cosh": "cosh",
    "Exp": "exponential",
    "Exp2": "exp2",
    "Expm1": "expm1",
    "Fabs": "abs",
    "Floor": "floor",
    "HardSigmoid": "hard_sigmoid",
    "HardTanh": "hard_tanh",
    "Log": "log",
    "Log10": "log10",
    "Log1p": "log1p",
    "Log2": "log2",
    "LogSigmoid": "log_sigmoid",
    "Reciprocal": "reciprocal",
    "Rsqrt": "rsqrt",
    "Selu": "selu",
    "Sign": "sign",
    "Sin": "sin",
    "Sinh": "sinh",
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
    "Trunc": "trunc",
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


@operation("HardShrink")
def hard_shrink(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.activation(of.name, x, "hard_shrink", float(of.threshold))


@operation("Threshold")
def threshold(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.threshold(of.name, x, float(of.threshold), float(of.default_value))


@operation("Round")
def rounded(walk: Walk, of: Any, x: Tensor) -> Tensor:
    factor = 10.0**of.decimals
    if factor == 1:
        return walk.builder.activation(of.name, x, "round")
    y = walk.builder.activation(f"{of.name}/round", walk.builder.with_number(f"{of.name}/up", Mul, x, factor), "round")
    return walk.builder.with_number(of.name, Mul, y, 1 / factor)


@operation("Squareplus")
def squareplus(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.activation(of.name, x, "squareplus", float(of.b))


@operation("LeakyRelu")
def leaky_relu(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.activation(of.name, x, "leaky_relu", float(of.negative_slope))


@operation("LogSoftmax", "Softmax")
def softmax(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """Along one axis."""
    if not isinstance(of.axis, int):
        walk.refuse(of, f"along axes {of.axis}; driftc reads one: reshape before it")
    return along(walk, of.name, x, of.axis, "softmax" if type(of).__name__ == "Softmax" else "log_softmax")


@operation("Clip")
def clip(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.clip(of.name, x, of.x_min, of.x_max)
