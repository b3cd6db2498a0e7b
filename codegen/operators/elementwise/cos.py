"""COS: out = cos(in)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.elementwise.float_only import ARITHMETIC, FloatOnly
from driftc.codegen.tensor import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Cos(FloatOnly):
    """The cosine, of radians."""

    codes = ("COS",)
    options = "CosOptions"
    arithmetic = ARITHMETIC.format("its cosine, rounded from float64")

    def on_reals(self, x: Array) -> Array:
        return np.cos(x.astype(np.float64)).astype(np.float32)
