"""MAX_POOL_2D: out[y, x, c] = clamp(largest raw value of the window)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.reduction.pool import Pool
from driftc.codegen.tensor import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool2D(Pool):
    """Max pooling."""

    codes = ("MAX_POOL_2D",)
    template = "max_pool_2d"
    word = "max"
    arithmetic = (
        "Largest raw value of the points that exist; clamp to the fused activation's int8 range. Scale and zero point "
        "must be the same on both sides (scales within 1e-6)."
    )

    def pooled(self, x: Int64) -> Int64:
        return self.over_windows(x, np.maximum)

    def float_pooled(self, x: Array) -> Array:
        return self.over_windows(x, np.maximum)
