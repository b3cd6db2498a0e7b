"""SUM: out = requantise(sum over the axes of (in - zero_in))."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from driftc.codegen.arithmetic import Multiplier
from driftc.codegen.operators.base import Array
from driftc.codegen.operators.reduction.mean import Mean


@dataclass(frozen=True, eq=False, kw_only=True)
class Sum(Mean):
    """Sum over `axes`: `Mean` without the division."""

    codes = ("SUM",)
    arithmetic = (
        "int32 sum without zero point; multiplier float64(scale_in) / float64(scale_out) as Q0.31 and shift; double "
        "rounding; zero point; saturated. Refused where the sum can overflow int32."
    )

    departures = (
        "Where input and output are quantised alike, LiteRT adds int8 values without a zero point, which wraps: "
        "--match litert refuses it."
    )

    @property
    def litert_undefined(self) -> str:
        source = self.inputs[0].quantization
        alike = source is not None and source.same_as(self.outputs[0].quantization)
        return "LiteRT adds up int8 values here, which wraps" if alike else ""

    @cached_property
    def multiplier(self) -> Multiplier:
        return self.rescaled(0, 1)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (np.asarray(inputs[0].sum(axis=self.axes, keepdims=self.keep_dims), np.float32),)
