"""SQUARE: out = in * in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.elementwise.float_only import ARITHMETIC, FloatOnly
from driftc.codegen.tensor import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Square(FloatOnly):
    """The square."""

    codes = ("SQUARE",)
    options = "SquareOptions"
    arithmetic = ARITHMETIC.format("times itself, rounded")

    def on_reals(self, x: Array) -> Array:
        return np.square(x)
