"""AVERAGE_POOL_2D: out[y, x, c] = clamp(round(mean of the raw values of the window that exist))."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.arithmetic import INT32_MAX, Int64
from driftc.codegen.operators.base import Array
from driftc.codegen.operators.pool import Pool


@dataclass(frozen=True, eq=False, kw_only=True)
class AveragePool2D(Pool):
    """Average pooling; padding is not counted."""

    codes = ("AVERAGE_POOL_2D",)
    template = "average_pool_2d"
    word = "average"
    arithmetic = (
        "int32 sum of the raw values of the points that exist; (sum + n/2) / n for a positive sum, (sum - n/2) / n "
        "otherwise, both divisions truncating; clamp to the fused activation's int8 range. Scale and zero point must "
        "be the same on both sides (scales within 1e-6)."
    )

    def check(self) -> None:
        super().check()
        points = min(self.kernel[0], self.inputs[0].shape[1]) * min(self.kernel[1], self.inputs[0].shape[2])
        if points * 128 + points // 2 > INT32_MAX:
            self.refuse(f"averages {points} points, whose sum can overflow int32")

    def pooled(self, x: Int64) -> Int64:
        sums = self.over_windows(x, np.add)
        count = self.counts()[..., np.newaxis]
        return np.where(sums > 0, (sums + count // 2) // count, -((count // 2 - sums) // count))

    def float_pooled(self, x: Array) -> Array:
        count = self.counts().astype(np.float32)[..., np.newaxis, np.newaxis]
        return np.asarray(self.over_windows(x, np.add) / count, np.float32)
