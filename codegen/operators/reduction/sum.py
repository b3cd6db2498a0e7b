"""SUM: out = requantise(sum over the axes of (in - zero_in))."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from driftc.codegen.arithmetic import Multiplier
from driftc.codegen.operators.reduction.mean import Mean
from driftc.codegen.tensor import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Sum(Mean):
    """Sum over `axes`: `Mean` without the division."""

    codes = ("SUM",)
    arithmetic = (
        "int32 sum without zero point; multiplier float64(scale_in) / float64(scale_out) as Q0.31 and shift; double "
        "rounding; zero point; saturated. Refused where the sum can overflow int32."
    )

    departures = (
        "LiteRT 2.3.0 overwrites its sums before they are read (most results are -1): refused with --match litert."
    )
    compared = "TFLite Micro"
    litert_undefined = "LiteRT's int8 kernel overwrites its sums before they are read"

    @cached_property
    def multiplier(self) -> Multiplier:
        return self.rescaled(0, 1)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (np.asarray(inputs[0].sum(axis=self.axes, keepdims=self.keep_dims), np.float32),)
