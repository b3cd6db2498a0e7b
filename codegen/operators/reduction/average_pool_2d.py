"""AVERAGE_POOL_2D: out[y, x, c] = clamp(round(mean of the raw values of the window that exist))."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from driftc.codegen.arithmetic import INT32_MAX, Int64
from driftc.codegen.operators.base import Box, cut
from driftc.codegen.operators.reduction.pool import Pool
from driftc.codegen.tensor import Array


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

    rows_averaged: int | None = None  # of a part that sums some of them: rows that the whole window has

    def check(self) -> None:
        super().check()
        points = min(self.kernel[0], self.inputs[0].shape[1]) * min(self.kernel[1], self.inputs[0].shape[2])
        if points * 128 + points // 2 > INT32_MAX:
            self.refuse(f"averages {points} points, whose sum can overflow int32")

    def pooled(self, x: Int64) -> Int64:
        return self.averaged(self.over_windows(x, np.add))

    def averaged(self, sums: Int64) -> Int64:
        count = self.counts()[..., np.newaxis]
        if self.rows_averaged is not None:
            count = count // self.inputs[0].shape[1] * self.rows_averaged
        return np.where(sums > 0, (sums + count // 2) // count, -((count // 2 - sums) // count))

    def float_pooled(self, x: Array) -> Array:
        count = self.counts().astype(np.float32)[..., np.newaxis, np.newaxis]
        return np.asarray(self.over_windows(x, np.add) / count, np.float32)

    def accumulate(self, x: Array) -> Int64:
        """Sums over the windows, int64 [1, rows, pixels, channels]."""
        return self.over_windows(np.asarray(x, np.int64)[0], np.add)[np.newaxis]

    def requantise(self, sums: Int64) -> Array:
        """Finished sums [1, rows, pixels, channels] as the output's int8."""
        return np.clip(self.averaged(sums[0]), *self.range).astype(np.int8)[np.newaxis]

    @property
    def sums_rows(self) -> bool:
        return self.spans(0) == [slice(0, self.inputs[0].shape[1])]

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        if reduce is None:
            return super().needs(box)
        return (Box(reduce.start, reduce.stop, box.channel0, box.channel1),)

    def part(self, box: Box, reduce: range | None = None) -> Self:
        """With `reduce`, the input rows in it alone."""
        if reduce is None:
            return super().part(box)
        rows = self.spans(0)[0]
        return replace(
            self,
            inputs=(cut(self.inputs[0], self.needs(box, reduce)[0]),),
            outputs=(cut(self.outputs[0], box),),
            kernel=(len(reduce), self.kernel[1]),
            stride=(1, self.stride[1]),
            padding=(0, 0, *self.padding[2:]),
            rows_averaged=rows.stop - rows.start,
        )
