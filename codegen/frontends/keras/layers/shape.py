"""What moves elements and computes nothing."""

from __future__ import annotations

from typing import Any

from driftc.codegen.frontends.keras.walk import Walk, layer, pair
from driftc.codegen.graph import Tensor


@layer(
    "ActivityRegularization",
    "AlphaDropout",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "SpatialDropout1D",
    "SpatialDropout2D",
)
def only_in_training(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return x


@layer("ZeroPadding1D", "ZeroPadding2D")
def zero_padding(walk: Walk, of: Any, x: Tensor) -> Tensor:
    amounts = of.padding if len(x.shape) == 4 else [of.padding]
    return walk.builder.pad(of.name, x, ((0, 0), *(pair(amount) for amount in amounts), (0, 0)))


@layer("Cropping2D")
def cropping(walk: Walk, of: Any, x: Tensor) -> Tensor:
    inner = [range(a, n - b) for (a, b), n in zip(of.cropping, x.shape[1:3], strict=True)]
    return walk.builder.slice(of.name, x, [range(1), *inner, range(x.shape[3])])


@layer("Flatten")
def flatten(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.reshape(of.name, x, (1, -1))


@layer("Reshape")
def reshape(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.reshape(of.name, x, (1, *of.target_shape))


@layer("Permute")
def permute(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.transpose(of.name, x, (0, *of.dims))
