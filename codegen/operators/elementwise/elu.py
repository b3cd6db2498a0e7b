"""ELU: out = in where in >= 0, else e^in - 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.elementwise.lookup import TABULATED, Tabulated, truncated
from driftc.codegen.tensor import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Elu(Tabulated):
    """The exponential linear unit: TFLite Micro `kernels/elu.cc`."""

    codes = ("ELU",)
    compared = "TFLite Micro"
    arithmetic = TABULATED.format("below 0 its exponential, rounded from float64, minus 1") + (
        " What int32 does not hold becomes -128, as x86 casts it."
    )

    def on_reals(self, x: Array) -> Array:
        below = np.exp(np.minimum(x, 0).astype(np.float64)).astype(np.float32) - np.float32(1)
        return np.where(x < 0, below, x)

    def cast(self, x: Array) -> Int64:
        return truncated(x)
