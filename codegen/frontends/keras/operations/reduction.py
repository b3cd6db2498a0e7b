"""Reductions along axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from driftc.codegen.frontends.keras.walk import Walk, operation
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.reduction.arg_max import ArgMax
from driftc.codegen.operators.reduction.arg_min import ArgMin
from driftc.codegen.operators.reduction.mean import Mean
from driftc.codegen.operators.reduction.reduce_max import ReduceMax
from driftc.codegen.operators.reduction.reduce_min import ReduceMin
from driftc.codegen.operators.reduction.sum import Sum
from driftc.codegen.tensor import Tensor

KINDS: dict[str, type[Operator]] = {
    "Amax": ReduceMax,
    "Amin": ReduceMin,
    "Max": ReduceMax,
    "Mean": Mean,
    "Min": ReduceMin,
    "Sum": Sum,
}


@operation(*KINDS)
def reduce(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.reduce(KINDS[type(of).__name__], of.name, x, axes_of(of, x), bool(of.keepdims))


@operation("Var")
def variance(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.variance(of.name, x, axes_of(of, x), bool(of.keepdims))


@operation("Std")
def deviation(walk: Walk, of: Any, x: Tensor) -> Tensor:
    y = walk.builder.variance(f"{of.name}/variance", x, axes_of(of, x), bool(of.keepdims))
    return walk.builder.activation(of.name, y, "sqrt")


@operation("Argmax", "Argmin")
def arg(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """Along one axis, at the end of a model, without keepdims; int32."""
    if of.axis is None or of.keepdims:
        walk.refuse(of, "is taken over all elements, or keeps the axis; driftc reads one axis, without keepdims")
    kind = ArgMax if type(of).__name__ == "Argmax" else ArgMin
    return walk.builder.arg(kind, of.name, x, of.axis % len(x.shape))


@operation("Cumsum")
def cumsum(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """Along one axis."""
    if of.axis is None:
        walk.refuse(of, "adds up all elements; name an axis")
    return walk.builder.cumsum(of.name, x, of.axis % len(x.shape))


def axes_of(of: Any, x: Tensor) -> list[int]:
    """What an operation reduces: all axes but the batch's, where it names none."""
    axes = range(len(x.shape)) if of.axis is None else np.atleast_1d(of.axis)
    return [int(axis) % len(x.shape) for axis in axes]
