"""Layers that join tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from driftc.codegen.frontends.keras.walk import Walk, layer
from driftc.codegen.graph import Tensor
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.maximum import Maximum
from driftc.codegen.operators.elementwise.minimum import Minimum
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.elementwise.sub import Sub


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


def chain(walk: Walk, label: str, kind: type[Operator], *parts: Tensor) -> Tensor:
    """Two at a time."""
    total = parts[0]
    for number, part in enumerate(parts[1:], 2):
        total = walk.builder.binary(label if number == len(parts) else f"{label}/{number}", kind, total, part)
    return total
