"""exp, tanh, logistic, reciprocal and inverse root in fixed point, to the bit as gemmlowp `fixedpoint.h` has them.

Raw int32 values in int64 arrays. Qi.f below means i integer bits and f = 31 - i fraction bits.
"""

from __future__ import annotations

from math import frexp

import numpy as np

from driftc.codegen.arithmetic import INT32_MAX, INT32_MIN, Int64, multiply_high, shift_right, wrap

_ONE = INT32_MAX  # 1.0 in Q0.31, as near as it goes
# exp(-2^exponent) in Q0.31, for each bit of the argument from 1/4 up.
_EXP_OF_BIT = (
    (-2, 1672461947),
    (-1, 1302514674),
    (0, 790015084),
    (1, 290630308),
    (2, 39332535),
    (3, 720401),
    (4, 242),
)
_EXP_OF_MINUS_EIGHTH = 1895147668
_THIRD = 715827883
_ROOT_OF_HALF = 1518500250  # Q0.31, as are those that follow
_FOURTH_ROOT_OF_HALF = 1805811301
_LOG_OF_TWO = 1488522236
_ALPHA_N, _ALPHA_D, _ALPHA_I, _ALPHA_F = 117049297, 127690142, 1057819769, 638450708
_QUARTER = 1 << 23  # Q6.25
_48_OVER_17 = 1515870810  # Q2.29
_MINUS_32_OVER_17 = -1010580540  # Q2.29


def significand(real: float) -> tuple[int, int]:
    """`real` > 0 as Q0.31 in [2^30, 2^31) and an exponent, of whatever size; both exact to the last bit."""
    fraction, exponent = frexp(real)
    value = int(fraction * 2**31 + 0.5)
    return (value, exponent) if value < 2**31 else (value // 2, exponent + 1)


def shift_left(x: Int64, exponent: Int64 | int) -> Int64:
    """x * 2^exponent, saturated to int32."""
    return np.asarray(np.clip(x << exponent, INT32_MIN, INT32_MAX), np.int64)


def exp_of_negative(x: Int64, integer_bits: int) -> Int64:
    """exp(x) in Q0.31 for x <= 0 with `integer_bits` (at most 5)."""
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    small = (x & (quarter - 1)) - quarter  # in [-1/4, 0)
    result = _exp_near_zero(shift_left(small, integer_bits))
    rest = small - x
    for exponent, factor in _EXP_OF_BIT:
        if exponent < integer_bits:
            bit = rest & (1 << (fraction_bits + exponent))
            result = np.where(bit != 0, multiply_high(result, factor), result)
    return np.where(x == 0, _ONE, result)


def _exp_near_zero(x: Int64) -> Int64:
    """exp(x) for x in [-1/4, 0), both Q0.31: a Taylor series around -1/8."""
    t = x + (1 << 28)
    t2 = multiply_high(t, t)
    t3 = multiply_high(t2, t)
    t4 = multiply_high(t2, t2)
    series = shift_right(multiply_high(shift_right(t4, 2) + t3, _THIRD) + t2, 1)
    return _EXP_OF_MINUS_EIGHTH + multiply_high(t + series, _EXP_OF_MINUS_EIGHTH)


def _half_reciprocal(x: Int64) -> Int64:
    """1 / ((1 + x) / 2) in Q2.29 for x in [0, 1] in Q0.31: three Newton-Raphson steps."""
    half = (x + _ONE + 1) >> 1
    guess = _48_OVER_17 + multiply_high(half, _MINUS_32_OVER_17)
    for _ in range(3):
        error = (1 << 29) - multiply_high(half, guess)
        guess = guess + shift_left(multiply_high(guess, error), 2)
    return guess


def one_over_one_plus(x: Int64) -> Int64:
    """1 / (1 + x) in Q0.31 for x in [0, 1] in Q0.31."""
    return shift_left(_half_reciprocal(x), 1)


def tanh(x: Int64) -> Int64:
    """tanh(x) in Q0.31 for x in Q4.27."""
    power = exp_of_negative(-np.abs(x), 5)  # exp(-2 |x|): the same raw value read as Q5.26 is twice the argument
    magnitude = shift_left(_half_reciprocal(power) - (1 << 29), 2)  # (1 - power) / (1 + power)
    return np.sign(x) * magnitude


def logistic(x: Int64) -> Int64:
    """1 / (1 + exp(-x)) in Q0.31 for x in Q4.27."""
    positive = one_over_one_plus(exp_of_negative(-np.abs(x), 4))
    return np.where(x == 0, 1 << 30, np.where(x > 0, positive, _ONE - positive))


def inverse_root(x: Int64) -> tuple[Int64, Int64]:
    """1 / sqrt(x) of integers as (value, right shift): value / 2^31 / 2^shift, what 0 has being that of 1.

    TFLite `GetInvSqrtQuantizedMultiplierExp`: five Newton-Raphson steps in Q3.28 from 1.
    """
    rest, shift = np.maximum(x, 2), np.full_like(x, 11)
    while (large := rest >= 1 << 29).any():
        rest, shift = np.where(large, rest // 4, rest), shift + large
    while (small := rest < 1 << 27).any():
        rest, shift = np.where(small, rest << 2, rest), shift - small
    half = shift_right(rest >> 1, 1)
    root = np.full_like(x, 1 << 28)
    for _ in range(5):
        cube = shift_left(multiply_high(multiply_high(root, root), root), 6)
        root = shift_left(multiply_high(root, (1 << 28) + (1 << 27)) - multiply_high(half, cube), 3)
    value = wrap(multiply_high(root, _ROOT_OF_HALF) << np.maximum(-shift, 0))
    return np.where(x <= 1, INT32_MAX, value), np.where(x <= 1, 0, np.maximum(shift, 0))


def log(x: Int64) -> Int64:
    """ln(x) in Q5.26 for x >= 1 in Q12.19: a rational function around the fourth root of a half.

    TFLite `log_x_for_x_greater_than_or_equal_to_1`.
    """
    zeros = leading_zeros(x)
    first = shift_left(multiply_high(shift_left(x, zeros - 1), _ROOT_OF_HALF), 1)
    second_zeros = leading_zeros(multiply_high(x, _ROOT_OF_HALF)) - 1
    root = np.minimum(first, shift_left(x, second_zeros))
    power = np.maximum(((12 - zeros) << 25) + _QUARTER, ((12 - second_zeros) << 25) - _QUARTER)
    middle = (root + _FOURTH_ROOT_OF_HALF + 1) >> 1
    apart = 2 * (root - _FOURTH_ROOT_OF_HALF)
    square = multiply_high(apart, apart)
    above = multiply_high(apart, root) + multiply_high(multiply_high(apart, square), _ALPHA_N)
    below = multiply_high(middle, _ALPHA_I + apart + multiply_high(square, _ALPHA_D)) + multiply_high(apart, _ALPHA_F)
    share = multiply_high(shift_right(above, 6), one_over_one_plus(below))
    return shift_left(multiply_high(power, _LOG_OF_TWO) + share, 1)


def leading_zeros(x: Int64) -> Int64:
    """Of integers in [1, 2^32) as uint32."""
    return 32 - np.frexp(x.astype(np.float64))[1].astype(np.int64)
