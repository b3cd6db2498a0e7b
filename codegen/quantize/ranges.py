"""Which real values an int8 tensor should reach: a histogram of what it was seen to hold, and three choices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.tensor import Array, Quantization

BINS = 4096
COVERED = 0.9999  # of the values, with `percentile`
SMALLEST = 1e-6  # the narrowest range; a tensor that is always zero has no other

Range = tuple[float, float]


class Histogram:
    """Counts of values in bins around zero; the bins double in width when a value falls outside."""

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(BINS, np.int64)
        self.width = 2.0**-30
        self.low = 0.0
        self.high = 0.0

    def add(self, values: Array) -> None:
        """Raises ValueError for NaN and infinite values, which no bin holds."""
        if not np.isfinite(values).all():
            raise ValueError("a histogram holds finite values alone")
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))
        while max(-self.low, self.high) >= self.width * (BINS // 2 - 1):
            merged = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts[:] = 0
            self.counts[BINS // 4 : BINS // 4 + BINS // 2] = merged
            self.width *= 2
        places = np.floor(values.reshape(-1) * np.float32(1 / self.width)).astype(np.int32) + BINS // 2
        self.counts += np.bincount(places, minlength=BINS)

    @property
    def centres(self) -> NDArray[np.float64]:
        return np.asarray((np.arange(BINS) - BINS // 2 + 0.5) * self.width, np.float64)


def minmax(seen: Histogram) -> Range:
    """Everything that was seen."""
    return seen.low, seen.high


def percentile(seen: Histogram) -> Range:
    """All but the rarest values at either end."""
    share = np.cumsum(seen.counts) / seen.counts.sum()
    edges = (np.arange(BINS + 1) - BINS // 2) * seen.width
    low = edges[int(np.searchsorted(share, 1 - COVERED))]
    high = edges[int(np.searchsorted(share, COVERED)) + 1]
    return max(seen.low, min(0.0, float(low))), min(seen.high, max(0.0, float(high)))


def mse(seen: Histogram) -> Range:
    """The range whose 256 steps give the least mean squared error, each end searched in turn."""
    used = np.flatnonzero(seen.counts)
    values, counts = seen.centres[used], seen.counts[used].astype(np.float64)
    low, high = seen.low, seen.high
    shares = np.linspace(1.0, 0.2, 81)
    for _ in range(2):
        high = min((high_ for high_ in shares * seen.high), key=lambda end: _error(values, counts, low, end))
        low = min((low_ for low_ in shares * seen.low), key=lambda end: _error(values, counts, end, high))
    return low, high


def _error(values: NDArray[np.float64], counts: NDArray[np.float64], low: float, high: float) -> float:
    step = max((high - low) / 255, SMALLEST / 255)
    nearest = np.clip(np.rint((values - low) / step), 0, 255) * step + low
    return float(np.sum(counts * (values - nearest) ** 2))


CHOICES: dict[str, Callable[[Histogram], Range]] = {"minmax": minmax, "percentile": percentile, "mse": mse}


def quantization(low: float, high: float) -> Quantization:
    """Scale and zero point of a tensor that reaches from `low` to `high` and holds zero exactly."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32(max(high - low, SMALLEST) / 255)
    return Quantization.per_tensor(float(scale), int(np.clip(np.rint(-128 - low / scale), -128, 127)))
