"""LOG_SOFTMAX: out[r, c] = in[r, c] - ln(sum over c of exp(in[r, c]))."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from driftc.codegen.arithmetic import INT32_MAX, INT32_MIN, Int64, Multiplier, multiply_high, shift_right, wrap
from driftc.codegen.operators import fixed_point
from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.normalization.by_row import ByRow
from driftc.codegen.operators.reduction.softmax import INTEGER_BITS, LONGEST, SUM_BITS
from driftc.codegen.tensor import Array, Quantization

OUTPUT_BITS = 4  # integer bits of the int8 output


@dataclass(frozen=True, eq=False, kw_only=True)
class LogSoftmax(ByRow):
    """The logarithm of softmax over the last axis, to scale 1/16 and zero point 127: `reference/log_softmax.h`."""

    codes = ("LOG_SOFTMAX",)
    template = "log_softmax"
    arithmetic = (
        "Differences d to the row's largest value; exp(scale_in * d) in Q0.31 by gemmlowp's fixed-point exponential (a "
        "table in C; 0 beyond Q5.26), their sum in Q12.19, its logarithm in Q5.26 by TFLite's rational function; "
        "scale_in * d minus it, rounding shift to 1/16; zero point 127; saturated, and -128 where that would leave "
        "Q5.26. Up to 4095 values a row."
    )

    def stored(self) -> Stored:
        return Stored(self.inputs, "LogSoftmaxOptions")

    @property
    def fixed_quantization(self) -> Quantization:
        return Quantization.per_tensor(2.0 ** (OUTPUT_BITS - 8), 127)

    def check(self) -> None:
        super().check()
        if self.depth > LONGEST:
            self.refuse(f"rows of {self.depth} values are too long: their sum overflows beyond {LONGEST}")
        if not self.inputs[0].scale * 2 ** (31 - INTEGER_BITS) > 2:
            self.refuse(f"input scale {self.inputs[0].scale:g} is out of any sensible range")
        _ = self.reverse

    @cached_property
    def scale(self) -> tuple[int, int]:
        """Steps of the input to Q5.26: significand in Q0.31 and left shift."""
        return fixed_point.significand(min(self.inputs[0].scale * 2 ** (31 - INTEGER_BITS), float(INT32_MAX)))

    @property
    def furthest(self) -> int:
        """The most steps from the largest value that count."""
        return (((1 << INTEGER_BITS) - 1) << (31 - INTEGER_BITS)) >> self.scale[1]

    @cached_property
    def reverse(self) -> Multiplier:
        """Q5.26 to steps of the input."""
        value, left = self.scale
        return Multiplier.of(2.0 ** (31 - left) / value)

    @cached_property
    def exponentials(self) -> Int64:
        """exp of 0, -1, -2, ... steps of the input, Q0.31; steps beyond the last give 0."""
        return fixed_point.exp_of_negative(self.scaled(np.arange(min(self.furthest, 255) + 1)), INTEGER_BITS)

    def scaled(self, steps: Int64) -> Int64:
        """Steps below the largest value in Q5.26."""
        value, left = self.scale
        return multiply_high(-steps << left, value)

    def of_rows(self, rows: Int64) -> Int64:
        steps = rows.max(axis=1, keepdims=True) - rows
        table = np.zeros(256, np.int64)
        table[: self.exponentials.size] = self.exponentials
        logarithm = fixed_point.log(shift_right(table[steps], SUM_BITS).sum(axis=1, keepdims=True))
        furthest = np.minimum(self.furthest + 1, -self.reverse.apply(wrap(logarithm + INT32_MIN)))
        counted = np.where(steps < furthest, steps, 0)
        found = shift_right(self.scaled(counted) - logarithm, 31 - INTEGER_BITS - OUTPUT_BITS) + 127
        return np.where(steps < furthest, found, -128)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        below = inputs[0] - inputs[0].max(axis=-1, keepdims=True)
        return (np.asarray(below - np.log(np.exp(below).sum(axis=-1, keepdims=True)), np.float32),)
