"""Reductions along axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from driftc.codegen.frontends.keras.walk import Walk, operation
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.sub import Sub
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
    x = walk.builder.as_real(f"{of.name}/real", x)
    return walk.builder.reduce(KINDS[type(of).__name__], of.name, x, axes_of(of, x), bool(of.keepdims))


@operation("Var")
def variance(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.variance(of.name, x, axes_of(of, x), bool(of.keepdims))


@operation("Std")
def deviation(walk: Walk, of: Any, x: Tensor) -> Tensor:
    y = walk.builder.variance(f"{of.name}/variance", x, axes_of(of, x), bool(of.keepdims))
    return walk.builder.activation(of.name, y, "sqrt")


@operation("Prod")
def product(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """Of up to 32 elements."""
    return walk.builder.product(of.name, x, axes_of(of, x), bool(of.keepdims))


@operation("Logsumexp")
def log_sum_exp(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.log_sum_exp(of.name, x, axes_of(of, x), bool(of.keepdims))


@operation("Norm")
def norm(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """Of order 1 or 2, along one axis."""
    order = 2 if of.ord in (None, "euclidean") else of.ord
    axes = axes_of(of, x)
    if order not in (1, 2) or (len(axes) != 1 and of.ord is not None):
        walk.refuse(of, f"of order {of.ord} along {axes}; driftc reads 1 and 2 along one axis")
    return walk.builder.norm(of.name, x, axes, bool(of.keepdims), int(order))


@operation("Ptp")
def reach(walk: Walk, of: Any, x: Tensor) -> Tensor:
    parts = [
        walk.builder.reduce(kind, f"{of.name}/{name}", x, axes_of(of, x), bool(of.keepdims))
        for name, kind in (("largest", ReduceMax), ("smallest", ReduceMin))
    ]
    return walk.builder.binary(of.name, Sub, parts[0], parts[1])


@operation("Moments")
def moments(walk: Walk, of: Any, x: Tensor) -> list[Tensor]:
    """Mean and variance."""
    axes, keep = [int(axis) % len(x.shape) for axis in np.atleast_1d(of.axes)], bool(of.keepdims)
    mean = walk.builder.reduce(Mean, f"{of.name}/mean", x, axes, keep)
    return [mean, walk.builder.variance(f"{of.name}/variance", x, axes, keep)]


@operation("Normalize")
def normalize(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """Of order 2, along one axis."""
    if of.order != 2 or not isinstance(of.axis, int):
        walk.refuse(of, f"of order {of.order} along {of.axis}; driftc reads order 2 along one axis")
    return walk.builder.unit(of.name, x, [of.axis % len(x.shape)], 1e-12)


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
