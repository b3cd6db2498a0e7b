"""ROUND: out = the nearest integer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.elementwise.float_only import ARITHMETIC, FloatOnly
from driftc.codegen.tensor import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Round(FloatOnly):
    """Rounded, halves to even."""

    codes = ("ROUND",)
    arithmetic = ARITHMETIC.format("rounded, halves to even")

    def on_reals(self, x: Array) -> Array:
        return np.rint(x)
