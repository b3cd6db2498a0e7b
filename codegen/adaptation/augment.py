"""Shifted copies of calibration samples, for fitting. Seeded: the same samples and seed give the same copies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Random = np.random.Generator


def image(samples: Floats, random: Random) -> Floats:
    """Each of [samples, H, W, C] in 0..1 shifted by one kind of `IMAGE`, one in five by two of them; stays in 0..1."""
    shifted = np.empty_like(samples)
    kinds = len(IMAGE)
    for number, sample in enumerate(samples):
        first = int(random.integers(kinds))
        result = IMAGE[first](sample, random)
        if random.random() < 0.2:
            result = IMAGE[(first + 1 + int(random.integers(kinds - 1))) % kinds](result, random)
        shifted[number] = np.clip(result, 0.0, 1.0)
    return shifted


def _noise(x: Floats, random: Random) -> Floats:
    return np.asarray(x + random.normal(0.0, random.uniform(0.02, 0.15), x.shape), np.float32)


def _blur(x: Floats, random: Random) -> Floats:
    """Gaussian, separable, edges repeated."""
    sigma = random.uniform(0.4, 1.5)
    radius = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        margins = [(radius, radius) if n == axis else (0, 0) for n in range(3)]
        spans = np.lib.stride_tricks.sliding_window_view(np.pad(x, margins, mode="edge"), len(kernel), axis=axis)
        x = (spans @ kernel).astype(np.float32)
    return x


def _brightness(x: Floats, random: Random) -> Floats:
    return np.asarray(x + random.uniform(0.1, 0.4) * random.choice([-1.0, 1.0]), np.float32)


def _contrast(x: Floats, random: Random) -> Floats:
    mean = x.mean(axis=(0, 1), keepdims=True)
    return np.asarray((x - mean) * random.uniform(0.15, 0.8) + mean, np.float32)


IMAGE: tuple[Callable[[Floats, Random], Floats], ...] = (_noise, _blur, _brightness, _contrast)
