"""LOGISTIC: out = 1 / (1 + exp(-in))."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators import fixed_point
from driftc.codegen.operators.elementwise.sigmoid import Sigmoid


@dataclass(frozen=True, eq=False, kw_only=True)
class Logistic(Sigmoid):
    """The logistic function, to scale 1/256 and zero point -128."""

    codes = ("LOGISTIC",)
    output_bits = 8
    output_zero = -128
    arithmetic = (
        "Input to Q4.27 by scale_in * 2^27 as Q0.31 and shift; gemmlowp's fixed-point logistic to Q0.31; rounding "
        "shift to 8 bits; zero point -128; saturated to -128 and 127 beyond +-15/16 of Q4.27. A table of 256 in C."
    )

    def curve(self, x: Int64) -> Int64:
        return fixed_point.logistic(x)

    def real(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        with np.errstate(over="ignore"):
            power = np.exp(-x.astype(np.float64)).astype(np.float32)
        return np.asarray(np.float32(1) / (np.float32(1) + power))
