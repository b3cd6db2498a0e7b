"""Logarithm and power of two in fixed point: piecewise linear, to the bit as firmware/driftc_adapt.h has them.

Both interpolate between 17 exact knots, so that each is continuous and monotone and exact at powers of two. Q.16 below
means 16 fraction bits.
"""

from __future__ import annotations

import numpy as np

from driftc.codegen.arithmetic import Int64

ONE = 1 << 16
SEGMENTS = 16
# log2(1 + i/16), and the steps of 2^(i/16), in Q.16. Written out: no platform's libm may decide them.
LOG2_KNOTS = np.array(
    [0, 5732, 11136, 16248, 21098, 25711, 30109, 34312, 38336, 42196, 45904, 49472, 52911, 56229, 59434, 62534, 65536],
    np.int64,
)
_EXP2_STEPS = (2902, 3030, 3164, 3304, 3450, 3604, 3762, 3930, 4103, 4285, 4475, 4673, 4880, 5096, 5321, 5557)
EXP2_KNOTS = 65536 + np.cumsum([0, *_EXP2_STEPS], dtype=np.int64)
LARGEST_POWER = 64 * ONE  # exp2's result is saturated here: 2^6 in Q.16


def log2(x: Int64) -> Int64:
    """log2 of integers in [1, 2^63), in Q.16; never above it by more than 2^-16, below it by at most 0.00073."""
    whole = bit_length(x) - 1
    top = np.where(whole >= 20, x >> np.maximum(whole - 20, 0), x << np.maximum(20 - whole, 0))  # 2^20 <= top < 2^21
    segment = (top >> 16) & 15
    step = LOG2_KNOTS[segment + 1] - LOG2_KNOTS[segment]
    return np.asarray((whole << 16) + LOG2_KNOTS[segment] + ((step * (top & 0xFFFF)) >> 16), np.int64)


def exp2(x: Int64) -> Int64:
    """2^x for x in Q.16 with |x| < 2^15: in Q.16, rounded, saturated to 2^6; from 0.9999 to 1.0003 of it, +- 2^-17."""
    whole = x >> 16
    segment = (x & 0xFFFF) >> 12
    step = EXP2_KNOTS[segment + 1] - EXP2_KNOTS[segment]
    mantissa = EXP2_KNOTS[segment] + ((step * (x & 0xFFF)) >> 12)
    right = np.clip(-whole, 0, 31)
    found = (mantissa << np.clip(whole, 0, 6)) + ((1 << right) >> 1) >> right
    return np.asarray(np.minimum(found, LARGEST_POWER), np.int64)


def exp2_inverse(power: float) -> int:
    """The x in Q.16 whose `exp2` is nearest to `power` > 0 (a real number, below 2^6)."""
    low, high = -32 * ONE, 6 * ONE
    wanted = power * ONE
    while high - low > 1:  # exp2 is monotone
        middle = (low + high) // 2
        low, high = (middle, high) if int(exp2(np.int64(middle))) <= wanted else (low, middle)  # type: ignore[arg-type]
    return low


def bit_length(x: Int64) -> Int64:
    """Bits of each positive integer below 2^63, exactly."""
    length = np.zeros_like(x)
    rest = np.array(x)
    for bits in (32, 16, 8, 4, 2, 1):
        large = rest >= (1 << bits)
        length += np.where(large, bits, 0)
        rest = np.where(large, rest >> bits, rest)
    return np.asarray(length + 1, np.int64)
