"""SIN: out = sin(in)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.elementwise.float_only import ARITHMETIC, FloatOnly
from driftc.codegen.tensor import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Sin(FloatOnly):
    """The sine, of radians."""

    codes = ("SIN",)
    arithmetic = ARITHMETIC.format("its sine, rounded from float64")

    def on_reals(self, x: Array) -> Array:
        return np.sin(x.astype(np.float64)).astype(np.float32)
