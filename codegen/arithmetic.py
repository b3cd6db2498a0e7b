"""Fixed-point arithmetic as TFLite Micro defines it, in NumPy: the one place where rounding is decided.

Sources: gemmlowp `fixedpoint/fixedpoint.h` (the two primitives) and TensorFlow Lite `kernels/internal/
quantization_util.cc` (how a real multiplier becomes an int32 and a shift). All integers are int64 arrays holding
values that fit int32, so that nothing here can overflow unseen.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import frexp, inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
INT32_MAX = 2**31 - 1
INT32_MIN = -(2**31)


@dataclass(frozen=True, eq=False)
class Multiplier:
    """Real factors m * 2^(shift - 31), one or one per channel: `value` int64 in [2^30, 2^31) or 0, `shift` int64."""

    value: Int64
    shift: Int64

    @classmethod
    def of(cls, real: float | NDArray[np.float64]) -> Multiplier:
        """Quantise positive real factors (float64) as `QuantizeMultiplier` does."""
        pairs = [quantize_multiplier(float(factor)) for factor in np.atleast_1d(np.asarray(real, np.float64))]
        return cls(np.array([p[0] for p in pairs], np.int64), np.array([p[1] for p in pairs], np.int64))

    def __getitem__(self, channels: slice | Int64) -> Multiplier:
        if self.value.size == 1:
            return self
        return Multiplier(self.value[channels], self.shift[channels])

    def apply(self, x: Int64) -> Int64:
        """Scale integers (last axis = channels where there is one factor per channel), rounding twice."""
        left = np.maximum(self.shift, 0)
        right = np.maximum(-self.shift, 0)
        return shift_right(multiply_high(wrap(x << left), self.value), right)


def quantize_multiplier(real: float) -> tuple[int, int]:
    """The int32 significand (Q0.31) and power-of-two exponent of a non-negative real factor.

    Raises ValueError from 2^30 on: TFLite Micro would shift by more bits than an int32 has.
    """
    if real == 0.0:
        return 0, 0
    if not 0.0 < real < inf:
        raise ValueError(f"scale factor {real} is not a positive finite number")
    significand, exponent = frexp(real)
    value = int(significand * 2**31 + 0.5)
    if value == 2**31:
        value //= 2
        exponent += 1
    if exponent < -31:
        return 0, 0
    if exponent > 30:
        raise ValueError(f"scale factor {real:g} can overflow int32; TFLite Micro shifts by 30 bits at most")
    return value, exponent


def wrap(x: Int64) -> Int64:
    """Two's complement int32 of wider integers."""
    return ((x + 2**31) & 0xFFFFFFFF) - 2**31


def multiply_high(a: Int64, b: Int64 | int) -> Int64:
    """gemmlowp SaturatingRoundingDoublingHighMul: round(a * b / 2^31), halves upwards, saturated."""
    return np.asarray(np.minimum((a * b + 2**30) >> 31, INT32_MAX), np.int64)


def shift_right(x: Int64, exponent: Int64 | int) -> Int64:
    """gemmlowp RoundingDivideByPOT: round(x / 2^exponent), halves away from zero."""
    half = (np.left_shift(1, exponent)) >> 1
    return (x + half - ((x < 0) & (half > 0))) >> exponent


def shift_right_any(x: Int64, exponent: Int64) -> Int64:
    """`shift_right` as x86 carries it out beyond 31, where gemmlowp leaves it undefined.

    The shift counts modulo 32, that which makes the remainder's mask modulo 64.
    """
    mask = wrap((np.left_shift(np.int64(1), exponent & 63)) - 1)
    return (x >> (exponent & 31)) + ((x & mask) > (mask >> 1) + (x < 0))


def scale_exactly(x: Int64, real: NDArray[np.float64]) -> Int64:
    """LiteRT's FULLY_CONNECTED: the float64 product x * real, rounded once, halves away from zero."""
    return np.asarray(round_half_away(x.astype(np.float64) * real), np.int64)


def exact_pair(real: float) -> tuple[int, int]:
    """`real` (float64, below 2^26) as significand * 2^-shift for `driftc_to_int8_exact`: 53 bits, shift 27 to 85."""
    significand, exponent = frexp(real)
    shift = 53 - exponent
    if shift > 85:  # |x * real| < 0.5 for every int32
        return 0, 60
    if real == 0.0 or shift < 27:
        raise ValueError(f"scale factor {real} is out of range")
    return int(significand * 2**53), shift


def round_half_away(x: Any) -> Any:
    """TfLiteRound / std::round: halves away from zero, exact in the precision of `x`."""
    whole = np.trunc(x)
    return whole + np.copysign(np.abs(x - whole) >= 0.5, x).astype(np.asarray(x).dtype)


def clamp(x: Int64, low: int, high: int) -> Int64:
    return np.clip(x, low, high)
