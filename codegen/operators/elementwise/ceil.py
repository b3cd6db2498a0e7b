"""CEIL: out = the next integer upwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.elementwise.float_only import ARITHMETIC, FloatOnly
from driftc.codegen.tensor import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Ceil(FloatOnly):
    """Rounded upwards."""

    codes = ("CEIL",)
    arithmetic = ARITHMETIC.format("rounded upwards")

    def on_reals(self, x: Array) -> Array:
        return np.ceil(x)
