"""Reductions along axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from driftc.codegen.frontends.keras.walk import Walk, operation
from driftc.codegen.graph import Tensor


@operation("Mean")
def mean(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.mean(of.name, x, axes_of(of, x), bool(of.keepdims))


def axes_of(of: Any, x: Tensor) -> list[int]:
    """What an operation reduces: all axes but the batch's, where it names none."""
    axes = range(len(x.shape)) if of.axis is None else np.atleast_1d(of.axis)
    return [int(axis) % len(x.shape) for axis in axes]
