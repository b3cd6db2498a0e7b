"""RESIZE_NEAREST_NEIGHBOR: out[y, x, c] = in[nearest row, nearest pixel, c]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.arithmetic import round_half_away
from driftc.codegen.operators.movement.move import Indices
from driftc.codegen.operators.movement.selection import Selection
from driftc.codegen.operators.resize.resize import Resize
from driftc.codegen.tensor import Shape


@dataclass(frozen=True, eq=False, kw_only=True)
class ResizeNearestNeighbor(Resize, Selection):
    """Which row and which pixel is the nearest is settled here, in TFLite's float32 (`GetNearestNeighbor`)."""

    codes = ("RESIZE_NEAREST_NEIGHBOR",)
    options = "ResizeNearestNeighborOptions"
    arithmetic = (
        "Bytes are copied. Index i of the output takes (i + offset) * scale of the input in float32, rounded down, or "
        "with aligned corners to the nearest, halves away from zero; at most the last index. scale is in / out, or "
        "(in - 1) / (out - 1) with aligned corners; offset is 0.5 with half-pixel centres, else 0."
    )

    def infer(self) -> tuple[Shape, ...]:
        return Selection.infer(self) if self.pieces is not None else Resize.infer(self)

    def taken(self) -> tuple[Indices, ...]:
        batch, height, width, channels = self.inputs[0].shape
        rows, pixels = self._nearest(height, self.size[0]), self._nearest(width, self.size[1])
        return np.arange(batch), rows, pixels, np.arange(channels)

    def _nearest(self, size: int, out: int) -> Indices:
        aligned = self.align_corners and out > 1
        scale = np.float32(size - 1) / np.float32(out - 1) if aligned else np.float32(size) / np.float32(out)
        offset = np.float32(0.5 if self.half_pixel_centers else 0.0)
        places = (np.arange(out).astype(np.float32) + offset) * scale
        found = round_half_away(places) if self.align_corners else np.floor(places)
        return np.asarray(np.clip(found, 0, size - 1), np.int64)
