"""RESIZE_BILINEAR: out[y, x, c] = round(the four nearest values, weighted by how near they are)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.base import Box, Tiling, cut
from driftc.codegen.operators.resize.resize import Resize
from driftc.codegen.tensor import Array

ONE = 1 << 10  # a row, or a pixel, as the weights count them


@dataclass(frozen=True, eq=False, kw_only=True)
class ResizeBilinear(Resize):
    """Places and weights in 1/1024 of a row or pixel: TFLite `ResizeBilinearInteger`."""

    codes = ("RESIZE_BILINEAR",)
    template = "resize_bilinear"
    options = "ResizeBilinearOptions"
    keeps_scale = True
    tiling = Tiling.ROWS | Tiling.CHANNELS
    arithmetic = (
        "Index i of the output lies at i * step of the input in 1/1024, with half-pixel centres at i * step + step/2 - "
        "512; step = (1024 * in + out/2) / out, or of in - 1 and out - 1 with aligned corners. int32 sum of the raw "
        "values of the four points around, times their weights; half of 2^20 is added, or taken off a sum of zero or "
        "less; divided by 2^20, towards zero."
    )

    part_rows: tuple[Int64, Int64, Int64] | None = None  # of a part: `grid` of its rows

    @property
    def steps(self) -> tuple[int, int]:
        """From one row, and pixel, of the output to the next, in 1/1024 of the input's."""
        found = []
        for size, out in zip(self.inputs[0].shape[1:3], self.size, strict=True):
            inner, outer = (size - 1, out - 1) if self.align_corners and out > 1 else (size, out)
            found.append((ONE * inner + outer // 2) // outer)
        return found[0], found[1]

    @property
    def shifts(self) -> tuple[int, int]:
        """Where the first row and pixel of the output lie."""
        row, pixel = (step // 2 - ONE // 2 if self.half_pixel_centers else 0 for step in self.steps)
        return row, pixel

    @cached_property
    def grid(self) -> tuple[tuple[Int64, Int64, Int64], tuple[Int64, Int64, Int64]]:
        """For each row, and for each pixel, of the output: those before and behind it, and how far from the first."""
        found = []
        for axis, size in enumerate(self.inputs[0].shape[1:3]):
            place = np.arange(self.size[axis], dtype=np.int64) * self.steps[axis] + self.shifts[axis]
            before = np.maximum(place // ONE, 0)
            found.append((before, np.minimum((place + ONE - 1) // ONE, size - 1), place - before * ONE))
        return self.part_rows or found[0], found[1]

    def check(self) -> None:
        super().check()
        if self.align_corners and self.half_pixel_centers:
            self.refuse("has aligned corners and half-pixel centres; TFLite Micro takes one or the other")
        for (before, _, _), size in zip(self.grid, self.inputs[0].shape[1:3], strict=True):
            if before.max() >= size:
                self.refuse(
                    f"reads index {before.max()} of {size}: TFLite's steps of 1/1024 are too coarse for this size"
                )

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        x = np.asarray(inputs[0], np.int64)
        (above, below, down), (left, right, along) = self.grid
        down, along = down[:, None, None], along[:, None]
        upper = x[:, above][:, :, left] * (ONE - along) + x[:, above][:, :, right] * along
        lower = x[:, below][:, :, left] * (ONE - along) + x[:, below][:, :, right] * along
        sums = upper * (ONE - down) + lower * down
        rounded = np.abs(sums) + (ONE * ONE >> 1)
        return ((np.sign(sums) * (rounded // (ONE * ONE))).astype(np.int8),)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        sizes = zip(self.inputs[0].shape[1:3], self.size, strict=True)
        (above, below, down), (left, right, along) = (self._exact(*size) for size in sizes)
        y, x = down[:, None, None], along[:, None]
        upper = inputs[0][:, above][:, :, left] * (1 - x) + inputs[0][:, above][:, :, right] * x
        lower = inputs[0][:, below][:, :, left] * (1 - x) + inputs[0][:, below][:, :, right] * x
        return (np.asarray(upper * (1 - y) + lower * y, np.float32),)

    def _exact(self, size: int, out: int) -> tuple[Int64, Int64, Array]:
        """`grid` of one axis without TFLite's steps of 1/1024."""
        steps = np.arange(out)
        places = steps * size / out
        if self.align_corners and out > 1:
            places = steps * (size - 1) / (out - 1)
        elif self.half_pixel_centers:
            places = (steps + 0.5) * size / out - 0.5
        places = np.clip(places, 0, size - 1)
        before = places.astype(np.int64)
        return before, np.minimum(before + 1, size - 1), (places - before).astype(np.float32)

    @property
    def divisible(self) -> Tiling:
        return self.tiling if self.inputs[0].shape[0] == 1 else Tiling.NONE

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        height, _, channels = self.outputs[0].hwc
        if self.divisible is Tiling.NONE or box == Box(0, height, 0, channels):
            return (Box(0, self.inputs[0].hwc[0], 0, channels),)
        above, below, _ = (rows[box.row0 : box.row1] for rows in self.grid[0])
        return (Box(int(above.min()), int(max(above.max(), below.max())) + 1, box.channel0, box.channel1),)

    def part(self, box: Box, reduce: range | None = None) -> Self:
        height, _, channels = self.outputs[0].hwc
        if reduce is None and box == Box(0, height, 0, channels):
            return self
        if reduce is not None or self.divisible is Tiling.NONE:
            raise ValueError(f"{self.name}: {self.kind} is computed in rows and channels of one image alone")
        (need,) = self.needs(box)
        above, below, down = (rows[box.row0 : box.row1] for rows in self.grid[0])
        return replace(
            self,
            inputs=(cut(self.inputs[0], need),),
            outputs=(cut(self.outputs[0], box),),
            size=(box.row1 - box.row0, self.size[1]),
            part_rows=(above - need.row0, below - need.row0, down),
        )
