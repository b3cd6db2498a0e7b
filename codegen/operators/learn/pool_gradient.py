"""POOL_GRADIENT: errors at the output of a pooling window, taken back to the points that it read."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from driftc.codegen.arithmetic import INT32_MAX, Int64
from driftc.codegen.operators.learn.base import Learning
from driftc.codegen.operators.learn.masks import Live, counted
from driftc.codegen.operators.reduction.average_pool_2d import AveragePool2D
from driftc.codegen.operators.reduction.max_pool_2d import MaxPool2D
from driftc.codegen.tensor import Array, Shape, Tensor

SHARE_FRACTION = 8  # bits of a share, where windows at the border have fewer points
LARGEST_ERROR = 1 << 14


@dataclass(frozen=True, eq=False, kw_only=True)
class PoolGradient(Learning):
    """Inputs: errors int16 at the output, [1, C] where every pixel has the same, or one each; of max pooling its input
    int8 [1, H, W, C]; masks of the output, by `live`. Output: int32 [1, H, W, C].
    """

    codes = ("POOL_GRADIENT",)
    template = "pool_gradient"
    header = "driftc_learn.h"
    arithmetic = (
        "Of max pooling an error goes to the first point, rows first, of the window's largest. Of an average it goes "
        "to each point of the window: as it is where all windows have as many points, else times "
        "(256 * most + n / 2) / n of n points, where `most` is the largest n, both divisions rounded down. Sums are "
        "exact, int32."
    )

    pool: AveragePool2D | MaxPool2D
    live: Live  # of each mask

    @property
    def largest(self) -> bool:
        """Of max pooling."""
        return isinstance(self.pool, MaxPool2D)

    @property
    def alike(self) -> bool:
        """Every pixel has the same error."""
        return self.inputs[0].size == self.pool.inputs[0].shape[3]

    @property
    def points(self) -> int:
        """That a window has at most."""
        return int(self.pool.counts().max())

    @property
    def fraction(self) -> int:
        """Bits of a share of an average: 0 where all windows have as many points."""
        return 0 if self.largest or int(self.pool.counts().min()) == self.points else SHARE_FRACTION

    @property
    def unit(self) -> float:
        """What a step of the output's errors is of the input's."""
        return 1.0 if self.largest else 1 / (self.points << self.fraction)

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return self.inputs[1:]

    @property
    def macs(self) -> int:
        return int(self.pool.counts().sum()) * self.pool.inputs[0].shape[3]

    def check(self) -> None:
        super().check()
        _, height, width, _ = self.pool.inputs[0].shape
        met = np.zeros((height, width), np.int64)
        for y, x, share in self._windows():
            met[y, x] += share
        if int(met.max()) * LARGEST_ERROR > INT32_MAX:
            self.refuse("so many windows read a point that the sum of their errors can overflow int32")

    def infer(self) -> tuple[Shape, ...]:
        return (self.pool.inputs[0].shape,)

    def summary(self) -> str:
        return f"errors taken back through {self.pool.word} pooling"

    def _windows(self) -> list[tuple[slice, slice, int]]:
        """Of each pixel of the output, rows first: rows and pixels of its window, and the share of each point."""
        counts = self.pool.counts().reshape(-1)
        shares = ((self.points << self.fraction) + counts // 2) // counts if self.fraction else np.ones_like(counts)
        spans = [(y, x) for y in self.pool.spans(0) for x in self.pool.spans(1)]
        return [(y, x, int(share)) for (y, x), share in zip(spans, shares, strict=True)]

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        errors, *rest = inputs
        _, height, width, channels = self.pool.inputs[0].shape
        shape = (prod(self.pool.output_size()), channels)
        e: Int64 = np.broadcast_to(np.asarray(errors, np.int64).reshape(-1, channels), shape)
        e = counted(e, self.live, rest[1:] if self.largest else rest)
        found = np.zeros((height, width, channels), np.int64)
        for (y, x, share), error in zip(self._windows(), e, strict=True):
            if not self.largest:
                found[y, x] += error * share
                continue
            window = rest[0].reshape(height, width, channels)[y, x]
            rows, pixels = np.unravel_index(window.reshape(-1, channels).argmax(axis=0), window.shape[:2])
            found[y, x][rows, pixels, np.arange(channels)] += error
        return (found.astype(np.int32)[np.newaxis],)
