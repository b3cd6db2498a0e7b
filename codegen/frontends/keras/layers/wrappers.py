"""Layers around a layer."""

from __future__ import annotations

from typing import Any

from driftc.codegen.frontends.keras.walk import Walk, layer
from driftc.codegen.tensor import Tensor

# What does the same to each step as to all of them: it works along the last axis, or element by element.
STEPWISE = frozenset(
    {"Activation", "Dense", "Dropout", "ELU", "LayerNormalization", "LeakyReLU", "ReLU", "Rescaling", "Softmax"}
)


@layer("SpectralNormalization")
def spectral(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """With the weights as training left them."""
    return walk.layer(of.layer, [x])[0] or x


@layer("TimeDistributed")
def each_step(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """Of layers that work along the last axis, and of Flatten."""
    inner = of.layer
    kind = type(inner).__name__
    if kind in ("Flatten", "Reshape"):
        shape = [int(n) for n in of.compute_output_shape((1, *x.shape[1:]))]
        return walk.builder.reshape(of.name, x, (1, *shape[1:]))
    if kind not in STEPWISE:
        walk.refuse(
            of,
            f"of {kind}; driftc reads it of Flatten, and along the last axis of {', '.join(sorted(STEPWISE))}; "
            "apply others to an image with the steps as rows",
        )
    return walk.layer(inner, [x])[0] or x
