"""Normalisation, by constants and by the sample's own mean and variance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from driftc.codegen.frontends.keras.walk import Walk, layer, values
from driftc.codegen.tensor import Tensor


@layer("BatchNormalization")
def batch_normalization(walk: Walk, of: Any, x: Tensor) -> Tensor:
    axis = of.axis[0] if isinstance(of.axis, list | tuple) else of.axis
    if axis % len(x.shape) != len(x.shape) - 1:
        walk.builder.refuse(f"layer '{of.name}' normalises axis {axis}; driftc reads the last")
    return walk.builder.batch_norm(
        of.name,
        x,
        gamma=values(of.gamma) if of.scale else None,
        beta=values(of.beta) if of.center else None,
        mean=values(of.moving_mean),
        variance=values(of.moving_variance),
        epsilon=of.epsilon,
    )


@layer("Rescaling")
def rescaling(walk: Walk, of: Any, x: Tensor) -> Tensor:
    channels = np.ones(x.shape[-1], np.float32)
    scale, offset = (np.asarray(value, np.float32) * channels for value in (of.scale, of.offset))
    return walk.builder.affine(of.name, x, scale, offset)


@layer("Normalization")
def normalization(walk: Walk, of: Any, x: Tensor) -> Tensor:
    mean, variance = (np.asarray(v, np.float64) for v in (of.mean, of.variance))
    if of.invert or mean.size not in (1, x.shape[-1]):
        walk.builder.refuse(f"layer '{of.name}': is inverted, or not along the last axis")
    deviation = np.broadcast_to(np.maximum(np.sqrt(variance.reshape(-1)), 1e-7), x.shape[-1:])
    return walk.builder.affine(of.name, x, 1 / deviation, -mean.reshape(-1) / deviation)


@layer("LayerNormalization")
def layer_normalization(walk: Walk, of: Any, x: Tensor) -> Tensor:
    axes = [axis % len(x.shape) for axis in (of.axis if isinstance(of.axis, list | tuple) else [of.axis])]
    y = walk.builder.standardized(f"{of.name}/standard", x, axes, float(of.epsilon))
    shape = [n if axis in axes else 1 for axis, n in enumerate(x.shape)]
    return _scaled(walk, of, y, shape[min(axes) :])


@layer("RMSNormalization")
def rms_normalization(walk: Walk, of: Any, x: Tensor) -> Tensor:
    axes = [axis % len(x.shape) for axis in (of.axis if isinstance(of.axis, list | tuple) else [of.axis])]
    y = walk.builder.standardized(f"{of.name}/standard", x, axes, float(of.epsilon), centred=False)
    shape = [n if axis in axes else 1 for axis, n in enumerate(x.shape)]
    return walk.builder.affine(of.name, y, values(of.scale).reshape(shape[min(axes) :]), np.zeros(1))


@layer("UnitNormalization")
def unit_normalization(walk: Walk, of: Any, x: Tensor) -> Tensor:
    axes = [axis % len(x.shape) for axis in (of.axis if isinstance(of.axis, list | tuple) else [of.axis])]
    return walk.builder.unit(of.name, x, axes, 1e-12)


@layer("GroupNormalization")
def group_normalization(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """Along the last axis."""
    if of.axis % len(x.shape) != len(x.shape) - 1:
        walk.refuse(of, f"normalises axis {of.axis}; driftc reads the last")
    groups = x.shape[-1] if of.groups == -1 else int(of.groups)
    return _scaled(walk, of, walk.builder.group_norm(f"{of.name}/standard", x, groups, float(of.epsilon)), [-1])


def _scaled(walk: Walk, of: Any, x: Tensor, shape: Sequence[int]) -> Tensor:
    gamma, beta = (
        values(part).reshape(shape) if used else None for part, used in ((of.gamma, of.scale), (of.beta, of.center))
    )
    ones, zeros = np.ones(1, np.float32), np.zeros(1, np.float32)
    return walk.builder.affine(of.name, x, ones if gamma is None else gamma, zeros if beta is None else beta)
