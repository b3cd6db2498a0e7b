"""TANH: out = tanh(in)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators import fixed_point
from driftc.codegen.operators.elementwise.sigmoid import Sigmoid


@dataclass(frozen=True, eq=False, kw_only=True)
class Tanh(Sigmoid):
    """The hyperbolic tangent, to scale 1/128 and zero point 0."""

    codes = ("TANH",)
    output_bits = 7
    output_zero = 0
    arithmetic = (
        "Input to Q4.27 by scale_in * 2^27 as Q0.31 and shift; gemmlowp's fixed-point tanh to Q0.31; rounding shift to "
        "7 bits, saturated; -128 and 127 beyond +-15/16 of Q4.27. A table of 256 in C."
    )

    def curve(self, x: Int64) -> Int64:
        return fixed_point.tanh(x)

    def real(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.tanh(x.astype(np.float64)).astype(np.float32)
