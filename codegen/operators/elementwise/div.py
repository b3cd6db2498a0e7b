"""DIV: out = clamp(requantise((a - zero_a) / (b - zero_b)))."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from driftc.codegen.arithmetic import Int64, Multiplier, multiply_high, shift_right_any
from driftc.codegen.operators import fixed_point
from driftc.codegen.operators.elementwise.broadcast import magnitude
from driftc.codegen.operators.elementwise.elementwise import Elementwise
from driftc.codegen.operators.elementwise.powers import bit_length
from driftc.codegen.operators.quantised import float32, requantiser
from driftc.codegen.tensor import Array

OF_ZERO = -1515870788  # what the reciprocal's Newton-Raphson steps make of a divisor of 0


@dataclass(frozen=True, eq=False, kw_only=True)
class Div(Elementwise):
    """Elementwise quotient with broadcasting: TFLite `reference/div.h`."""

    codes = ("DIV",)
    template = "div"
    options = "DivOptions"
    largest_rank = 5
    arithmetic = (
        "The divisor made positive and shifted to [1, 2) has gemmlowp's fixed-point reciprocal (a table of 128 in C); "
        "the dividend, shifted left as far as it goes, times it by rounding doubling high multiply; multiplier "
        "float64(scale_a) / (float64(scale_b) * float64(scale_out)) as Q0.31 and shift, with what was shifted taken "
        "off; zero point; clamp to the fused activation's int8 range. A shift back by more than 31 (a small quotient "
        "of a small dividend) and a divisor of 0, which TFLite Micro's kernel leaves undefined, give the bytes of "
        "its and LiteRT's builds for x86: the shift counts modulo 32. Refused where the quotient must be shifted left."
    )
    departures = "LiteRT rounds scale_b * scale_out, and scale_a over that, to float32, and stops at a divisor of 0."

    @cached_property
    def multiplier(self) -> Multiplier:
        a, b, result = (tensor.scale for tensor in (*self.inputs, *self.outputs))
        if self.litert:
            return requantiser(self, float32(lambda: np.float32(a) / (np.float32(b) * np.float32(result))), 0)
        return requantiser(self, a / (b * result), 0)

    def check(self) -> None:
        super().check()
        if int(self.multiplier.shift[0]) > 31 - magnitude(self.inputs[0]).bit_length() - 1:
            a, b, result = (tensor.scale for tensor in (*self.inputs, *self.outputs))
            self.refuse(
                f"the scales {a:g} and {b:g} of its inputs and {result:g} of its output are too far apart; "
                "scale_a / (scale_b * scale_out) must be below 2^22"
            )

    @cached_property
    def reciprocals(self) -> Int64:
        """1 / x in Q0.31 for x = 1, 1 + 1/128, ... 2 - 1/128; then what 0 has."""
        return np.append(fixed_point.one_over_one_plus(np.arange(128, dtype=np.int64) << 24), OF_ZERO)

    @property
    def furthest(self) -> int:
        """The largest shift back of any quotient."""
        return 31 + magnitude(self.inputs[1]).bit_length() - 1 - int(self.multiplier.shift[0])

    def combine(self, a: Int64, b: Int64) -> Int64:
        a, b = np.broadcast_arrays(np.where(b < 0, -a, a), np.abs(b))
        bits = _length(b)
        inverse = self.reciprocals[np.where(b == 0, 128, (b << np.maximum(8 - bits, 0)) - 128)]
        headroom = 31 - _length(np.where(a < 0, ~a, a))
        quotient = multiply_high(multiply_high(a << headroom, inverse), self.multiplier.value)
        return shift_right_any(quotient, headroom + bits - 1 - self.multiplier.shift)

    def float_combine(self, a: Array, b: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.nan_to_num(a / b))


def _length(x: Int64) -> Int64:
    """Bits of each integer from 0 to 255; none of 0."""
    return np.where(x == 0, 0, bit_length(np.maximum(x, 1)))
