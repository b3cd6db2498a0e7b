"""Layers that join tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from driftc.codegen.frontends.keras.walk import Walk, layer
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.maximum import Maximum
from driftc.codegen.operators.elementwise.minimum import Minimum
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.elementwise.sub import Sub
from driftc.codegen.operators.reduction.sum import Sum
from driftc.codegen.tensor import Tensor


@layer("Add")
def add(walk: Walk, of: Any, a: Tensor, b: Tensor, *more: Tensor) -> Tensor:
    return chain(walk, of.name, Add, a, b, *more)


@layer("Multiply")
def multiply(walk: Walk, of: Any, a: Tensor, b: Tensor, *more: Tensor) -> Tensor:
    return chain(walk, of.name, Mul, a, b, *more)


@layer("Subtract")
def subtract(walk: Walk, of: Any, a: Tensor, b: Tensor) -> Tensor:
    return chain(walk, of.name, Sub, a, b)


@layer("Maximum")
def maximum(walk: Walk, of: Any, a: Tensor, b: Tensor, *more: Tensor) -> Tensor:
    return chain(walk, of.name, Maximum, a, b, *more)


@layer("Minimum")
def minimum(walk: Walk, of: Any, a: Tensor, b: Tensor, *more: Tensor) -> Tensor:
    return chain(walk, of.name, Minimum, a, b, *more)


@layer("Average")
def average(walk: Walk, of: Any, a: Tensor, b: Tensor, *more: Tensor) -> Tensor:
    total = chain(walk, f"{of.name}/sum", Add, a, b, *more)
    share = walk.builder.constant(f"{of.name}/share", np.full(1, 1 / (2 + len(more))))
    return walk.builder.binary(of.name, Mul, total, share)


@layer("Concatenate")
def concatenate(walk: Walk, of: Any, a: Tensor, b: Tensor, *more: Tensor) -> Tensor:
    return walk.builder.concat(of.name, [a, b, *more], of.axis)


@layer("Dot")
def dot(walk: Walk, of: Any, a: Tensor, b: Tensor) -> Tensor:
    """Of two or three axes with the batch."""
    axes = of.axes if isinstance(of.axes, list | tuple) else [of.axes] * 2
    first, second = axes[0] % len(a.shape), axes[1] % len(b.shape)
    if of.normalize:
        a, b = (
            walk.builder.unit(f"{of.name}/a", a, [first], 1e-12),
            walk.builder.unit(f"{of.name}/b", b, [second], 1e-12),
        )
    if len(a.shape) == len(b.shape) == 2:
        product = walk.builder.binary(f"{of.name}/product", Mul, a, b)
        return walk.builder.reduce(Sum, of.name, product, [1], keep_dims=True)
    if len(a.shape) != 3 or len(b.shape) != 3:
        walk.refuse(of, f"is of {list(a.shape)} and {list(b.shape)}; driftc reads two or three axes")
    return walk.builder.matmul(of.name, a, b, (first == 1, second == 2))


def chain(walk: Walk, label: str, kind: type[Operator], *parts: Tensor) -> Tensor:
    """Two at a time."""
    total = parts[0]
    for number, part in enumerate(parts[1:], 2):
        total = walk.builder.binary(label if number == len(parts) else f"{label}/{number}", kind, total, part)
    return total
