"""spectrum: noise, gain, band limits and reverberation, as they act on logarithms of power by frame and band.

Log spectra (log-mel) as they are; cepstra (MFCC) through the inverse DCT and back. Which of the two, the samples say:
neighbouring bands of a spectrum go together, neighbouring coefficients do not. The logarithm's base and offset are
not asked for: the spread of the samples is taken for `NEPERS`, which differs a little from copy to copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from driftc.codegen.adaptation.augment.kind import Copies, Floats, Kind, Random, frames, one_or_two

NEPERS = (8.0, 16.0)  # ln of power from the quietest to the loudest percent: 35 to 70 dB
TOGETHER = 0.5  # correlation of neighbours, below which they are cepstra
MOTION = (3, 6, 9)  # so many values a frame are rather axes of a sensor
FEWEST_BANDS = 4
NARROW = 16  # fewer columns than this are no image


@dataclass(frozen=True)
class Range:
    """Of the calibration samples: the quietest percent, and the loudest."""

    low: float
    high: float

    def neper(self, random: Random) -> float:
        return max(self.high - self.low, 1e-3) / random.uniform(*NEPERS)


def noise(x: Floats, random: Random, known: Range) -> Floats:
    """A source beside the signal, 0 to 22 dB below its peaks, each cell at random.

    Its slope is that of most noise: 17 dB down to 9 dB up from the first band to the last. In half of the copies it is
    steady, in the others it comes and goes.
    """
    neper = known.neper(random)
    level = np.percentile(x, 95) / neper - random.uniform(0.0, 5.0)
    slope = random.uniform(-4.0, 2.0) * np.linspace(-0.5, 0.5, x.shape[1])
    averaged = random.uniform(1.0, 8.0)  # periodogram bins in a band
    cells = np.log(np.maximum(random.gamma(averaged, 1 / averaged, x.shape), 1e-6))
    if random.random() < 0.5:
        cells += random.uniform(0.0, 3.0) * _course(len(x), random)[:, None]
    return _sum(x, np.asarray(neper * (level + slope + cells), np.float32), neper)


def _course(count: int, random: Random) -> Floats:
    """float32 [count], standard normal: straight lines between 2 to count / 2 points in time."""
    points = int(random.integers(2, max(3, count // 2)))
    values = random.normal(size=points)
    return np.asarray(np.interp(np.linspace(0, points - 1, count), np.arange(points), values), np.float32)


def gain(x: Floats, random: Random, known: Range) -> Floats:
    """22 dB down to 13 dB up: a speaker far from the microphone, or near."""
    return np.asarray(x + known.neper(random) * random.uniform(-5.0, 3.0), np.float32)


def band(x: Floats, random: Random, known: Range) -> Floats:
    """Another microphone: a slope, bands above one corner and below another let through less, never under the floor."""
    neper, bands = known.neper(random), np.linspace(0, 1, x.shape[1])
    lost = random.uniform(-1.5, 1.5) * (bands - 0.5)
    lost += random.uniform(0, 8) * np.clip((bands - random.uniform(0.3, 0.95)) / 0.15, 0, 1)
    lost += random.uniform(0, 6) * np.clip((random.uniform(0, 0.3) - bands) / 0.1, 0, 1)
    return np.asarray(np.maximum(x - neper * lost, np.minimum(x, known.low)), np.float32)


def reverberation(x: Floats, random: Random, known: Range) -> Floats:
    """A tail behind each frame: power that decays exponentially, longer in low bands."""
    neper = known.neper(random)
    decay = random.uniform(0.5, 0.93) ** np.linspace(0.8, 1.2, x.shape[1])
    share = random.uniform(0.2, 0.9)
    power = np.exp((x - known.high) / neper)
    tail, tails = power[0], []
    for frame in power:
        tail = decay * tail + (1 - decay) * frame
        tails.append(tail)
    heard = (1 - share) * power + share * np.stack(tails)
    return np.asarray(known.high + neper * np.log(np.maximum(heard, 1e-12)), np.float32)


def _sum(a: Floats, b: Floats, neper: float) -> Floats:
    """Of powers, as logarithms."""
    return np.asarray(neper * np.logaddexp(a / neper, b / neper), np.float32)


def _made(samples: Floats, _: float) -> Copies:
    size = frames((1, *samples.shape[1:]))
    assert size is not None
    matrix = _dct(size[1]) if is_cepstrum(samples.reshape(-1, *size)) else np.eye(size[1])
    spectra = samples.reshape(-1, *size) @ matrix
    low, high = np.percentile(spectra[:1000], (1, 99))
    ways = [partial(way, known=Range(float(low), float(high))) for way in (noise, gain, band, reverberation)]

    def copies(chosen: Floats, random: Random) -> Floats:
        before = (chosen.reshape(-1, *size) @ matrix).astype(np.float32)
        after = one_or_two(ways, before, random) @ matrix.T
        return np.asarray(np.clip(after, 0, 1).reshape(chosen.shape), np.float32)

    return copies


def is_cepstrum(samples: Floats) -> bool:
    """Of [samples, frames, bands]: neighbouring bands do not go together."""
    cells = samples[:1000].reshape(-1, samples.shape[2]).astype(np.float64)
    cells = (cells - cells.mean(axis=0)) / np.maximum(cells.std(axis=0), 1e-9)
    return bool((cells[:, 1:] * cells[:, :-1]).mean() < TOGETHER)


def _dct(size: int) -> Floats:
    """Orthonormal DCT-II, so that cepstrum @ matrix is a spectrum and spectrum @ matrix.T the cepstrum again."""
    rows, columns = np.arange(size)[:, None], np.arange(size)
    matrix = np.sqrt(2 / size) * np.cos(np.pi * rows * (2 * columns + 1) / (2 * size))
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix, np.float32)


def _takes(shape: tuple[int, ...]) -> bool:
    size = frames(shape)
    return size is not None and size[0] > 1 and size[1] >= FEWEST_BANDS


def _likely(shape: tuple[int, ...]) -> bool:
    """What could be an image as well is not."""
    size = frames(shape)
    if size is None or not _takes(shape) or size[1] in MOTION:
        return False
    return (len(shape) == 4 and shape[3] != 1) or size[0] > size[1] < NARROW


KIND = Kind("[1, T, F], [1, T, 1, F], [1, 1, T, F] or [1, T, F, 1]", _takes, _likely, _made)
