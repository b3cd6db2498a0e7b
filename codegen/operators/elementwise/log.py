"""LOG: out = ln(in)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.elementwise.lookup import TABULATED, Tabulated
from driftc.codegen.tensor import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Log(Tabulated):
    """The natural logarithm: LiteRT `kernels/elementwise.cc`."""

    codes = ("LOG",)
    compared = "LiteRT"
    arithmetic = TABULATED.format("its logarithm, rounded from float64, or the lowest output where it is not above 0")

    def on_reals(self, x: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(x.astype(np.float64)).astype(np.float32)

    def transform(self, x: Array) -> Array:
        lowest = np.float32(-128 - self.outputs[0].zero_point) * np.float32(self.outputs[0].scale)
        return np.where(x > 0, self.on_reals(np.where(x > 0, x, 1)), lowest)
