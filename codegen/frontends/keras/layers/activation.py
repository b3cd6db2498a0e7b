"""Activations, as layers and as the functions that other layers end with."""

from __future__ import annotations

from typing import Any

from driftc.codegen.frontends.keras.walk import Walk, layer, values
from driftc.codegen.operators.elementwise.greater_equal import GreaterEqual
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.elementwise.sub import Sub
from driftc.codegen.tensor import Tensor

NAMES = {"hard_silu": "hard_swish", "swish": "silu"}  # Keras' -> the builder's
ALPHAS = {  # as functions by name
    "celu": 1.0,
    "elu": 1.0,
    "hard_shrink": 0.5,
    "leaky_relu": 0.2,
    "soft_shrink": 0.5,
    "squareplus": 4.0,
}


@layer("Activation")
def activated(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """By the names below, or a layer."""
    function = of.activation
    if not hasattr(function, "__name__"):  # a layer in the place of a function
        return walk.layer(function, [x])[0] or x  # x: the walk goes on, to find what else is missing
    name = NAMES.get(function.__name__, function.__name__)
    own = "" if type(of).__name__ == "Activation" else f"/{name}"
    if name == "glu":
        return gated(walk, f"{of.name}{own}", x, -1)
    if name == "gelu":  # Keras takes the exact one by default
        return walk.builder.activation(f"{of.name}{own}", x, "gelu")
    return walk.builder.activation(f"{of.name}{own}", x, name, ALPHAS.get(name, 0.0))


def gated(walk: Walk, label: str, x: Tensor, axis: int) -> Tensor:
    """The first half times the sigmoid of the second."""
    half = x.shape[axis] // 2
    a, b = walk.builder.split(f"{label}/halves", x, [half, half], axis % len(x.shape))
    return walk.builder.binary(label, Mul, a, walk.builder.activation(f"{label}/sigmoid", b, "sigmoid"))


@layer("ReLU")
def relu(walk: Walk, of: Any, x: Tensor) -> Tensor:
    limit, slope, threshold = of.max_value, float(of.negative_slope or 0), float(of.threshold or 0)
    if threshold != 0:  # slope (x - threshold) below it
        to = walk.builder
        kept = to.clip(f"{of.name}/kept", x, None, limit)
        line = to.with_number(f"{of.name}/line", Mul, to.with_number(f"{of.name}/down", Sub, x, threshold), slope)
        above = to.compared(f"{of.name}/above", GreaterEqual, x, threshold)
        return to.select(of.name, above, kept, line if slope else 0.0)
    if slope:
        x = walk.builder.activation(of.name if limit is None else f"{of.name}/leaky", x, "leaky_relu", slope)
    return walk.builder.clip(of.name, x, None if slope else 0.0, limit) if limit is not None or not slope else x


@layer("ELU")
def elu(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.activation(of.name, x, "elu", float(of.alpha))


@layer("PReLU")
def prelu(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.prelu(of.name, x, values(of.alpha))


@layer("LeakyReLU")
def leaky_relu(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.activation(of.name, x, "leaky_relu", float(of.negative_slope))


@layer("Softmax")
def softmax(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """Along one axis."""
    axis = of.axis[0] if isinstance(of.axis, list | tuple) and len(of.axis) == 1 else of.axis
    if not isinstance(axis, int):
        walk.refuse(of, f"along axes {axis}; driftc reads one: Reshape before it")
    return along(walk, of.name, x, axis, "softmax")


def along(walk: Walk, label: str, x: Tensor, axis: int, name: str) -> Tensor:
    """A softmax along any axis, which is brought to the end for it."""
    axis %= len(x.shape)
    order = [*(n for n in range(len(x.shape)) if n != axis), axis]
    back = [order.index(n) for n in range(len(order))]
    y = walk.builder.activation(label, walk.builder.transpose(f"{label}/last", x, order), name)
    return walk.builder.transpose(f"{label}/back", y, back)
