"""SQUARED_DIFFERENCE: out = requantise((rescale(a - zero_a) - rescale(b - zero_b))^2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from driftc.codegen.arithmetic import Int64, Multiplier
from driftc.codegen.operators.elementwise.elementwise import Pairwise
from driftc.codegen.operators.quantised import float32, requantiser
from driftc.codegen.tensor import Array

EXTRA_BITS = 7  # of both inputs: the square of their difference still fits int32


@dataclass(frozen=True, eq=False, kw_only=True)
class SquaredDifference(Pairwise):
    """TFLite Micro `kernels/squared_difference.cc`."""

    codes = ("SQUARED_DIFFERENCE",)
    template = "squared_difference"
    options = "SquaredDifferenceOptions"
    arithmetic = (
        "Both inputs without zero point, shifted left by 7, times scale / (2 * larger scale); the int32 square of "
        "their difference times (2 * larger scale)^2 / (2^14 * scale_out); all factors from float64 as Q0.31 and "
        "shift; double rounding each; zero point; saturated. Refused where it can overflow int32."
    )

    extra_bits = EXTRA_BITS

    @cached_property
    def multipliers(self) -> tuple[Multiplier, Multiplier, Multiplier]:
        """Of the inputs (shifted left by `extra_bits`) and of the square."""
        a, b, result = (tensor.scale for tensor in (*self.inputs, *self.outputs))
        twice = 2.0 * max(a, b)
        largest = 255 << EXTRA_BITS
        finest = float32(lambda: np.float32(1 << 2 * EXTRA_BITS) * np.float32(result))
        return (
            requantiser(self, a / twice, largest),
            requantiser(self, b / twice, largest),
            requantiser(self, twice * twice / finest, self.largest),
        )

    @property
    def largest(self) -> int:
        """The largest square: both differences are at most 255 * 2^7, of which each factor leaves half."""
        return (255 << EXTRA_BITS) ** 2

    def check(self) -> None:
        super().check()
        _ = self.multipliers

    def combine(self, a: Int64, b: Int64) -> Int64:
        first, second, result = self.multipliers
        difference = first.apply(a << EXTRA_BITS) - second.apply(b << EXTRA_BITS)
        return result.apply(difference * difference)

    def float_combine(self, a: Array, b: Array) -> Array:
        return np.asarray(np.square(a - b))
