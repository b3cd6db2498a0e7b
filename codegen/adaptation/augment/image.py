"""image: noise, blur, brightness, contrast, as cameras, weather and light do."""

from __future__ import annotations

import numpy as np

from driftc.codegen.adaptation.augment.kind import Floats, Kind, Random, one_or_two

FARTHEST = 0.1  # that a sample is moved, of its size


def shifted(samples: Floats, random: Random) -> Floats:
    """Each of [samples, H, W, C] in 0..1 shifted by one kind of `WAYS`, one in five by two of them; stays in 0..1."""
    return np.asarray(np.clip(one_or_two(WAYS, samples, random), 0.0, 1.0), np.float32)


def varied(samples: Floats, random: Random) -> Floats:
    """Half of them mirrored, all moved a little."""
    found = [_moved(x[:, ::-1] if random.random() < 0.5 else x, random) for x in samples]
    return np.asarray(found, np.float32)


def _moved(x: Floats, random: Random) -> Floats:
    """By up to a tenth of its height and of its width, edges repeated."""
    for axis in (0, 1):
        most = round(x.shape[axis] * FARTHEST)
        places = np.arange(x.shape[axis]) - random.integers(-most, most + 1)
        x = x.take(places.clip(0, len(places) - 1), axis)
    return x


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


WAYS = (_noise, _blur, _brightness, _contrast)


def _takes(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[3] in (1, 3)


def _likely(shape: tuple[int, ...]) -> bool:
    """Colour, or square."""
    return _takes(shape) and min(shape[1:3]) > 1 and (shape[3] == 3 or shape[1] == shape[2])


KIND = Kind("[1, H, W, 1 or 3]", _takes, _likely, lambda samples, zero: shifted, varied)
