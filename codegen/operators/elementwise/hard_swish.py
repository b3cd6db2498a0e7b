"""HARD_SWISH: out = in * min(max(in + 3, 0), 6) / 6."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from driftc.codegen.arithmetic import Int64, quantize_multiplier
from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.elementwise.lookup import Lookup
from driftc.codegen.operators.quantised import float32
from driftc.codegen.tensor import Array

INT16_MAX = 2**15 - 1
INT16_MIN = -(2**15)
RAMP_SCALE = 3 / 2**15
HEADROOM = 7  # an int8 difference shifted left by this still fits int16


@dataclass(frozen=True, eq=False, kw_only=True)
class HardSwish(Lookup):
    """Hard swish in int16 fixed point."""

    codes = ("HARD_SWISH",)
    arithmetic = (
        "int16 fixed point as TFLite's reference: the input shifted left by 7, times float64(scale_in) / 128 / "
        "float64(scale_out) as Q0.15 and shift, times a Q0.15 ramp that rises from 0 to 1 between -3 and 3 (truncating "
        "high multiply); rounding shift, whose remainder int16 holds (beyond 15 it gives 1 from 0 up, else -1); zero "
        "point; saturated. A table of 256 in C."
    )
    departures = "LiteRT rounds both factors to float32 before they become Q0.15."

    def stored(self) -> Stored:
        return Stored(self.inputs, "HardSwishOptions", version=1)

    @cached_property
    def factors(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Q0.15 significand and shift: to the output's scale, and to the ramp's, where 3.0 is 32768."""
        scale, out = self.inputs[0].scale, self.outputs[0].scale
        reals = [scale / 128 / out, scale / 128 / RAMP_SCALE]
        if self.litert:
            fine = np.float32(scale) / np.float32(128)
            reals = [float32(lambda: fine / np.float32(out)), float32(lambda: fine / np.float32(RAMP_SCALE))]
        try:
            pairs = [quantize_multiplier(real) for real in reals]
        except ValueError as problem:
            self.refuse(f"scales: {problem}")
        if pairs[0][1] > 0:
            self.refuse(
                f"the scales {scale:g} of its input and {out:g} of its output are too far apart; TFLite Micro needs "
                "input scale / (128 * output scale) to be below 1"
            )
        to_output, to_ramp = ((min((value + (1 << 15)) >> 16, INT16_MAX), shift) for value, shift in pairs)
        return to_output, to_ramp

    def check(self) -> None:
        super().check()
        _ = self.factors

    def on_reals(self, x: Array) -> Array:
        return np.asarray(x * np.clip(x + 3, 0, 6) / 6)

    def function(self, x: Int64) -> Int64:
        (to_output, output_shift), (to_ramp, ramp_shift) = self.factors
        fine = (x - self.inputs[0].zero_point) << HEADROOM
        unshifted = _multiply_high(fine, to_output)
        ramp = _saturate(fine << max(ramp_shift - 1, 0))
        ramp = _multiply_high(ramp, to_ramp)
        ramp = _saturate(ramp << 1) if ramp_shift > 0 else _shift_right(ramp, -ramp_shift)
        ramp = (ramp + (1 << 15)) >> 1
        product = ramp * unshifted
        truncated = np.sign(product) * (np.abs(product) >> 15)
        return _shift_right(truncated, -output_shift) + self.outputs[0].zero_point


def _saturate(x: Int64) -> Int64:
    return np.clip(x, INT16_MIN, INT16_MAX)


def _multiply_high(a: Int64, b: int) -> Int64:
    """gemmlowp SaturatingRoundingDoublingHighMul on int16: round(a * b / 2^15), halves upwards."""
    return np.asarray(np.minimum((a * b + (1 << 14)) >> 15, INT16_MAX), np.int64)


def _shift_right(x: Int64, exponent: int) -> Int64:
    """gemmlowp RoundingDivideByPOT on int16, whose mask is -1 beyond 15."""
    mask = (1 << exponent) - 1 if exponent < 16 else -1
    return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0))
