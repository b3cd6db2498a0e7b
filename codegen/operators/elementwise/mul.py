"""MUL: out = clamp(requantise((a - zero_a) * (b - zero_b)))."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from driftc.codegen.arithmetic import Int64, Multiplier
from driftc.codegen.operators.channelwise import at_corners
from driftc.codegen.operators.elementwise.broadcast import largest_product
from driftc.codegen.operators.elementwise.elementwise import Elementwise
from driftc.codegen.operators.quantised import float32, requantiser
from driftc.codegen.operators.ranges import Ranges
from driftc.codegen.tensor import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Mul(Elementwise):
    """Elementwise product with broadcasting."""

    codes = ("MUL",)
    template = "mul"
    options = "MulOptions"
    arithmetic = (
        "int32 product; multiplier float64(scale_a) * float64(scale_b) / float64(scale_out) as Q0.31 and shift; "
        "double rounding; zero point; clamp to the fused activation's int8 range. Refused where it can overflow int32."
    )
    departures = "LiteRT rounds scale_a * scale_b, and that over scale_out, to float32."

    @cached_property
    def multiplier(self) -> Multiplier:
        a, b, result = (tensor.scale for tensor in (*self.inputs, *self.outputs))
        factor = float32(lambda: np.float32(a) * np.float32(b) / np.float32(result)) if self.litert else a * b / result
        return requantiser(self, factor, largest_product(*self.inputs))

    def check(self) -> None:
        super().check()
        _ = self.multiplier

    def channel_ranges(self, inputs: Sequence[Ranges]) -> Ranges | None:
        return at_corners(self, inputs)

    def combine(self, a: Int64, b: Int64) -> Int64:
        return self.multiplier.apply(a * b)

    def float_combine(self, a: Array, b: Array) -> Array:
        return np.asarray(a * b)
