"""Logarithm, power of two and inverse square root in fixed point, to the bit as firmware/driftc_adapt.h has them.

Between 17 exact knots each of the first two is the line through two of them and a parabola that is 0 at both, whose
height follows from the line's own slope: log2'' = -ln 2 (log2')^2, exp2'' = ln 2 exp2'. So each is continuous, and
exact at powers of two. Q.24 below means 24 fraction bits.
"""

from __future__ import annotations

import numpy as np

from driftc.codegen.arithmetic import Int64

LOG_FRACTION = 24  # of what log2 gives
EXPONENT_FRACTION = 20  # of what exp2 takes
POWER_FRACTION = 16  # of what it gives
ONE = 1 << POWER_FRACTION
# log2(1 + i/16) and 2^(i/16) in Q.24. Written out: no platform's libm may decide them.
LOG2_KNOTS = np.array(
    [
        0,
        1467383,
        2850868,
        4159533,
        5401057,
        6581994,
        7707984,
        8783912,
        9814042,
        10802114,
        11751428,
        12664911,
        13545168,
        14394532,
        15215099,
        16008758,
        16777216,
    ],
    np.int64,
)
EXP2_KNOTS = np.array(
    [
        16777216,
        17520007,
        18295684,
        19105703,
        19951585,
        20834917,
        21757357,
        22720638,
        23726566,
        24777031,
        25874004,
        27019544,
        28215802,
        29465022,
        30769550,
        32131834,
        33554432,
    ],
    np.int64,
)
# 1 / sqrt(i/32) in Q.30, i from 8.
ROOT_KNOTS = np.array(
    [
        2147483648,
        2024667000,
        1920767767,
        1831380208,
        1753413056,
        1684624773,
        1623345051,
        1568300315,
        1518500250,
        1473161629,
        1431655765,
        1393471397,
        1358187913,
        1325455684,
        1294981364,
        1266516759,
        1239850262,
        1214800200,
        1191209601,
        1168942037,
        1147878294,
        1127913670,
        1108955787,
        1090922784,
        1073741824,
    ],
    np.int64,
)
BEND = 1420  # ln 2 / 2 in Q.12, and ln 2 / 32 in Q.16
LARGEST_POWER = 128 * ONE  # exp2's result is saturated here
WORD = (1 << 32) - 1


def log2(x: Int64) -> Int64:
    """log2 of integers in [1, 2^63), in Q.24, within 0.0000055."""
    whole = bit_length(x) - 1
    top = np.where(whole >= 31, x >> np.maximum(whole - 31, 0), x << np.maximum(31 - whole, 0))  # 2^31 <= top < 2^32
    segment = (top >> 27) & 15
    step = LOG2_KNOTS[segment + 1] - LOG2_KNOTS[segment]
    line = (step * ((top << 5) & WORD)) >> 32
    bend = ((((line << 6) * ((step - line) << 6)) >> 32) * BEND) >> 16
    return np.asarray((whole << LOG_FRACTION) + LOG2_KNOTS[segment] + line + bend, np.int64)


def exp2(x: Int64) -> Int64:
    """2^x for x in Q.20, |x| below 2^31: in Q.16, rounded, saturated to 2^7; within a millionth of it, +- 2^-17."""
    whole = x >> EXPONENT_FRACTION
    segment = (x >> 16) & 15
    part = (x << 16) & WORD
    step = EXP2_KNOTS[segment + 1] - EXP2_KNOTS[segment]
    line = (step * part) >> 32
    bend = (((line * (WORD - part)) >> 32) * BEND) >> 16
    right = np.clip(8 - whole, 2, 31)
    found = (EXP2_KNOTS[segment] + line - bend + ((1 << right) >> 1)) >> right
    return np.asarray(np.where(whole < 7, found, LARGEST_POWER), np.int64)


def root(x: Int64) -> tuple[Int64, Int64]:
    """(r, h) of integers in [1, 2^32): 1 / sqrt(x) = r / 2^29 * 2^(h - 16), within 0.000003 of it; 2^29 <= r <= 2^30.

    The line between two of 25 exact knots, and one Newton step: r (3 - x r^2) / 2.
    """
    even = (32 - bit_length(x)) & ~1
    top = x << even  # 2^30 <= top < 2^32
    segment = (top >> 27) - 8
    line = ROOT_KNOTS[segment] - (((ROOT_KNOTS[segment] - ROOT_KNOTS[segment + 1]) * ((top << 5) & WORD)) >> 32)
    over = (((line * line) >> 32) * top) >> 32
    return np.asarray((line * (((3 << 28) - over) << 2)) >> 32, np.int64), np.asarray(even >> 1, np.int64)


def bit_length(x: Int64) -> Int64:
    """Bits of each positive integer below 2^63, exactly."""
    length = np.zeros_like(x)
    rest = np.array(x)
    for bits in (32, 16, 8, 4, 2, 1):
        large = rest >= (1 << bits)
        length += np.where(large, bits, 0)
        rest = np.where(large, rest >> bits, rest)
    return np.asarray(length + 1, np.int64)
