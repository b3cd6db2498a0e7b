"""int8 weights chosen for what a layer computes, not each for itself: the error that one leaves, the next take over.

The weights of a filter are rounded in turn, those of the liveliest inputs first; what rounding changes in the output is
made good by the weights still to come, through the covariance of the inputs. Frantar et al., "GPTQ" (2022), whose
equations these are, with the means left out: the bias corrects those.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.convolution.transpose_conv import TransposeConv
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.operators.windowed import Windowed
from driftc.codegen.tensor import Array

WINDOWS = 8192  # of a layer's inputs, that its covariance is taken over
DAMPING = 0.01  # of the mean variance, added to each: what few samples say is not all believed

Reals = NDArray[np.float64]


def compensate(real: Weighted, made: Weighted, given: Array) -> Weighted:
    """`made`, the int8 form of `real`, with weights rounded so that it does the same on the inputs `given`."""
    if isinstance(real, TransposeConv):  # whose sums have other taps from pixel to pixel: each weight for itself
        return made
    assert real.weights.data is not None
    windows = _windows(made, given)  # [groups, n, k]
    groups, _, width = windows.shape
    weights = np.moveaxis(real.weights.data, real.channel_axis, 0).astype(np.float64)
    scale = made.weights.quantization.scale.astype(np.float64) if made.weights.quantization else np.ones(1)
    steps = (weights.reshape(real.channels, -1) / scale[:, None]).reshape(groups, -1, width)
    centred = windows - windows.mean(axis=1, keepdims=True)
    found = _rounded(steps, centred.transpose(0, 2, 1) @ centred / windows.shape[1])
    data = np.moveaxis(found.reshape(weights.shape), 0, real.channel_axis)
    return replace(made, weights=replace(made.weights, data=np.ascontiguousarray(data.astype(np.int8))))


def _windows(operator: Weighted, given: Array) -> Reals:
    """Some of the inputs of its sums, by group of channels, in the order of its weights."""
    random = np.random.default_rng(0)
    if not isinstance(operator, Windowed):
        rows = given.reshape(-1, operator.weights.shape[-1])
        return np.asarray(rows[_places(random, len(rows))][None], np.float64)
    view = operator.float_windows(given)
    chosen = np.unravel_index(_places(random, int(np.prod(view.shape[:3]))), view.shape[:3])
    taken = view[chosen].astype(np.float64)  # [n, kernel rows, kernel pixels, channels]
    depth = 1 if isinstance(operator, DepthwiseConv2D) else operator.weights.shape[-1]
    split = taken.reshape(*taken.shape[:3], -1, depth).transpose(3, 0, 1, 2, 4)
    return split.reshape(split.shape[0], len(taken), -1)


def _places(random: np.random.Generator, count: int) -> NDArray[np.int64]:
    return np.arange(count) if count <= WINDOWS else np.sort(random.choice(count, WINDOWS, replace=False))


def _rounded(steps: Reals, covariance: Reals) -> Reals:
    """`steps` [groups, filters, k] as integers in -127..127."""
    groups, _, width = steps.shape
    spread = np.diagonal(covariance, axis1=1, axis2=2)
    order = np.argsort(-spread, axis=1, kind="stable")
    steps = np.take_along_axis(steps, order[:, None, :], axis=2)
    group = np.arange(groups)[:, None, None]
    damped = covariance[group, order[:, :, None], order[:, None, :]]
    mean = spread.mean(axis=1)
    damped += np.eye(width) * np.where(mean > 0, DAMPING * mean, 1.0)[:, None, None]
    # Row i of the factor: how the weights after i take over what i leaves.
    factor = np.linalg.cholesky(np.linalg.inv(damped)).transpose(0, 2, 1)
    found = np.empty_like(steps)
    for place in range(width):
        found[:, :, place] = np.clip(np.rint(steps[:, :, place]), -127, 127)
        left = (steps[:, :, place] - found[:, :, place]) / factor[:, place, place, None]
        steps[:, :, place + 1 :] -= left[:, :, None] * factor[:, None, place, place + 1 :]
    back = np.empty_like(found)
    np.put_along_axis(back, np.broadcast_to(order[:, None, :], found.shape), found, axis=2)
    return back
