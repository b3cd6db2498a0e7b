"""NEG: out = -in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.elementwise.float_only import ARITHMETIC, FloatOnly
from driftc.codegen.tensor import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Neg(FloatOnly):
    """The opposite."""

    codes = ("NEG",)
    options = "NegOptions"
    arithmetic = ARITHMETIC.format("its sign changed")

    def on_reals(self, x: Array) -> Array:
        return np.negative(x)
