"""Activations, as layers and as the functions that other layers end with."""

from __future__ import annotations

from typing import Any

from driftc.codegen.frontends.keras.walk import Walk, layer
from driftc.codegen.graph import Tensor

NAMES = {"hard_silu": "hard_swish", "swish": "silu"}  # Keras' -> the builder's


@layer("Activation")
def activated(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """`x` behind the activation that the layer `of` has."""
    function = of.activation
    if not hasattr(function, "__name__"):  # a layer in the place of a function
        return walk.layer(function, [x])[0] or x  # x: the walk goes on, to find what else is missing
    name = NAMES.get(function.__name__, function.__name__)
    alpha = 0.2 if name == "leaky_relu" else 0.0  # Keras' default, as a function by name has it
    own = "" if type(of).__name__ == "Activation" else f"/{name}"
    return walk.builder.activation(f"{of.name}{own}", x, name, alpha)


@layer("ReLU")
def relu(walk: Walk, of: Any, x: Tensor) -> Tensor:
    limit, slope, threshold = of.max_value, float(of.negative_slope or 0), float(of.threshold or 0)
    if threshold != 0 or limit not in (None, 6) or (limit == 6 and slope):
        walk.builder.refuse(
            f"layer '{of.name}': ReLU of max_value {limit}, negative_slope {slope:g}, threshold {threshold:g} "
            "is not supported"
        )
    return walk.builder.activation(of.name, x, "relu6" if limit == 6 else "leaky_relu", slope)


@layer("LeakyReLU")
def leaky_relu(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.activation(of.name, x, "leaky_relu", float(of.negative_slope))


@layer("Softmax")
def softmax(walk: Walk, of: Any, x: Tensor) -> Tensor:
    if of.axis not in (-1, len(x.shape) - 1):
        walk.builder.refuse(f"layer '{of.name}': softmax along axis {of.axis}; driftc reads the last")
    return walk.builder.activation(of.name, x, "softmax")
