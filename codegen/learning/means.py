"""Nearest class means: what decides in the place of the last dense layer, and where its means and slope come from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.learning.fixed import mantissas
from driftc.codegen.learning.lesson import Means
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.learn.nearest_mean import NearestMean
from driftc.codegen.operators.learn.trained_dense import ABSENT
from driftc.codegen.tensor import Tensor

SLOPES = np.exp2(np.arange(-24, 9) / 4)  # that are tried, of the one that the features' variance gives


def nearest(layer: FullyConnected, lesson: Means, inputs: tuple[Tensor, ...], out: Tensor) -> NearestMean:
    """The operator in the place of `layer`. Raises ModelError where its scales are out of range."""
    try:
        factor, shift = mantissas(np.array([lesson.slope / float(out.scale)]), 46)
    except ValueError:
        layer.refuse("the scale of its output is out of any sensible range for the features' distances")
    return NearestMean(
        name=layer.name, label=layer.label, index=layer.index, inputs=inputs, outputs=(out,), factor=int(factor[0]),
        shift=shift,
    )  # fmt: skip


def initial_means(lesson: Means) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    """Means and counts, with those of classes that are not there yet."""
    means = np.zeros((lesson.classes, lesson.means.shape[1]), np.int8)
    means[: lesson.known] = lesson.means
    counts = np.full(lesson.classes, ABSENT, np.int32)
    counts[: lesson.known] = np.where(lesson.counts > 0, lesson.counts, ABSENT)
    return means, counts


def class_means(features: NDArray[np.int8], labels: NDArray[np.int64], known: int) -> NDArray[np.int8]:
    """int8 [known, F], rounded; 0 where there is no sample of a class."""
    found = np.zeros((known, features.shape[1]), np.int8)
    for label in np.unique(labels):
        found[label] = np.rint(features[labels == label].mean(axis=0))
    return found


def slope_of(features: NDArray[np.int8], labels: NDArray[np.int64], means: NDArray[np.int8]) -> float:
    """Logits for each squared step, under which the samples' labels are likeliest: a temperature is fitted."""
    there = np.unique(labels)
    away = features.astype(np.float64)[:, None] - means[there].astype(np.float64)
    squared = (away**2).sum(axis=2)
    own = squared[np.arange(len(labels)), np.searchsorted(there, labels)]
    usual = features.shape[1] / (2 * max(float(own.mean()), 0.25))
    losses = [_loss(squared * -usual * factor, own * -usual * factor) for factor in SLOPES]
    return float(usual * SLOPES[int(np.argmin(losses))])


def _loss(logits: NDArray[np.float64], own: NDArray[np.float64]) -> float:
    """Mean cross-entropy."""
    largest = logits.max(axis=1)
    return float((np.log(np.exp(logits - largest[:, None]).sum(axis=1)) + largest - own).mean())
