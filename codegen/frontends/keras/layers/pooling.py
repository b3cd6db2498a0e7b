"""Pooling, over windows and over everything."""

from __future__ import annotations

from typing import Any, Literal

from driftc.codegen.frontends.keras.layers.convolution import as_image
from driftc.codegen.frontends.keras.walk import Walk, layer, padding, pair
from driftc.codegen.tensor import Tensor


@layer("MaxPooling2D")
def max_pooling_2d(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.pool(of.name, x, "max", pair(of.pool_size), pair(of.strides), padding(of))


@layer("AveragePooling2D")
def average_pooling_2d(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.pool(of.name, x, "average", pair(of.pool_size), pair(of.strides), padding(of))


@layer("MaxPooling1D")
def max_pooling_1d(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return as_image(walk, of, x, max_pooling_2d)


@layer("AveragePooling1D")
def average_pooling_1d(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return as_image(walk, of, x, average_pooling_2d)


@layer("GlobalAveragePooling1D", "GlobalAveragePooling2D")
def global_average(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.mean(of.name, x, range(1, len(x.shape) - 1), bool(of.keepdims))


@layer("GlobalMaxPooling1D", "GlobalMaxPooling2D")
def global_max(walk: Walk, of: Any, x: Tensor) -> Tensor:
    image = x if len(x.shape) == 4 else walk.builder.reshape(f"{of.name}/image", x, (1, *x.shape))
    size = pair(image.shape[1:3])
    y = walk.builder.pool(of.name, image, "max", size, (1, 1), "valid")
    ones = (1,) * (len(x.shape) - 2) if of.keepdims else ()
    return walk.builder.reshape(f"{of.name}/flat", y, (1, *ones, x.shape[-1]))


@layer("AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D")
def adaptive_average(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return _adaptive(walk, of, x, "average")


@layer("AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D")
def adaptive_max(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return _adaptive(walk, of, x, "max")


def _adaptive(walk: Walk, of: Any, x: Tensor, kind: Literal["max", "average"]) -> Tensor:
    size = of.output_size if isinstance(of.output_size, list | tuple) else [of.output_size] * (len(x.shape) - 2)
    wanted = [int(n) for n in size]
    rows, pixels = wanted if len(wanted) == 2 else (1, wanted[0])
    image = walk.builder.reshape(f"{of.name}/image", x, (1, *((1,) * (4 - len(x.shape))), *x.shape[1:]))
    y = walk.builder.adaptive(of.name, image, kind, (rows, pixels))
    return walk.builder.reshape(f"{of.name}/steps", y, (1, *wanted, x.shape[-1]))
