"""FLOOR: out = the next integer downwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.elementwise.float_only import ARITHMETIC, FloatOnly
from driftc.codegen.tensor import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Floor(FloatOnly):
    """Rounded downwards."""

    codes = ("FLOOR",)
    arithmetic = ARITHMETIC.format("rounded downwards")

    def on_reals(self, x: Array) -> Array:
        return np.floor(x)
