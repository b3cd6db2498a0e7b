/* driftc.h: the fixed-point arithmetic that generated layers share.
 *
 * Bit for bit what TFLite Micro computes: gemmlowp's rounding doubling high multiply, then its rounding shift.
 * A scale is a pair (multiplier, shift): real = multiplier / 2^31 / 2^shift, multiplier in [2^30, 2^31) or 0.
 * Right shifts of negative numbers are arithmetic, as on every compiler for the cores driftc knows.
 */
#ifndef DRIFTC_H
#define DRIFTC_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DRIFTC_VERSION 100 /* major * 10000 + minor * 100 + patch */

#if INT_MAX < 0x7FFFFFFF
#error "driftc's C needs an int of 32 bits; AVR and other cores of 8 or 16 bits have less"
#endif

/* Inlined for speed, called for size: -Os decides. */
#if defined(__GNUC__) && !defined(__OPTIMIZE_SIZE__)
#define DRIFTC_INLINE static inline __attribute__((always_inline))
#else
#define DRIFTC_INLINE static inline
#endif

/* One layer. Compiled apart from its neighbours, it has the registers to itself; -Os decides. */
#if defined(__GNUC__) && !defined(__OPTIMIZE_SIZE__)
#define DRIFTC_LAYER static __attribute__((noinline))
#else
#define DRIFTC_LAYER static
#endif

/* A pointer that is aligned to words, as every whole buffer of the arena is, for memcpy of 4 bytes. */
#if defined(__GNUC__)
#define DRIFTC_WORDS(pointer) __builtin_assume_aligned(pointer, 4)
#else
#define DRIFTC_WORDS(pointer) (pointer)
#endif

/* Nothing behind it is loaded before it: a compiler that loads far ahead runs out of registers. */
#if defined(__GNUC__)
#define DRIFTC_IN_ORDER __asm__ volatile("" ::: "memory")
#else
#define DRIFTC_IN_ORDER ((void)0)
#endif

DRIFTC_INLINE int32_t driftc_clamp(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* round(a * b / 2^31), halves upwards; not both may be INT32_MIN. */
DRIFTC_INLINE int32_t driftc_multiply_high(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}

/* The same where |a| < 2^30: the product of 2a needs the high word alone. */
DRIFTC_INLINE int32_t driftc_multiply_high_short(int32_t a, int32_t b)
{
    const int64_t product = (int64_t)(a * 2) * b;

    return (int32_t)(product >> 32) + (int32_t)((uint32_t)product >> 31);
}

/* round(x / 2^shift), halves away from zero; shift 0 to 31. */
DRIFTC_INLINE int32_t driftc_shift_right(int32_t x, int shift)
{
    const uint32_t mask = ((uint32_t)1 << shift) - 1;
    const uint32_t rest = (uint32_t)x & mask;

    return (x >> shift) + (rest > (mask >> 1) + (x < 0));
}

/* The same where shift is 1 to 30 and |x| < 2^30. */
DRIFTC_INLINE int32_t driftc_shift_right_short(int32_t x, int shift)
{
    return (((x + (x >> 31)) >> (shift - 1)) + 1) >> 1;
}

/* The same with any shift, as x86 carries it out beyond 31, where gemmlowp leaves it undefined: modulo 32, the mask's
 * modulo 64. Only what overflows nowhere below 32 comes here. */
DRIFTC_INLINE int32_t driftc_shift_right_any(int32_t x, int shift)
{
    const int32_t mask = (int32_t)(uint32_t)(((uint64_t)1 << (shift & 63)) - 1);

    return (x >> (shift & 31)) + ((x & mask) > (mask >> 1) + (x < 0));
}

/* x scaled by any (multiplier, shift); a negative shift is a left shift, which wraps. */
DRIFTC_INLINE int32_t driftc_scale(int32_t x, int32_t multiplier, int shift)
{
    if (shift < 0)
        return driftc_multiply_high((int32_t)((uint32_t)x << -shift), multiplier);
    return driftc_shift_right(driftc_multiply_high(x, multiplier), shift);
}

/* A finished sum as int8, |sum| < 2^29 and shift 1 to 30: what nearly every layer needs. Both roundings, and what is
 * added, in halves of what the first one gives: a floor of a floor is the floor of both. The sign, which moves halves
 * away from zero, matters only where the clamp leaves values below zero's apart. */
DRIFTC_INLINE int8_t driftc_to_int8(int32_t sum, int32_t multiplier, int shift, int32_t zero, int32_t low, int32_t high)
{
    int32_t scaled = (int32_t)((int64_t)(sum * 4) * multiplier >> 32);

    scaled += low < zero ? (scaled >> 31) | 1 : 1;
    scaled = ((scaled >> shift) + (zero - low) * 2 + 1) >> 1;
    return (int8_t)(driftc_clamp(scaled, 0, high - low) + low);
}

/* A finished sum as int8, any sum and any scale. */
DRIFTC_INLINE int8_t driftc_to_int8_any(int32_t sum, int32_t multiplier, int shift, int32_t zero, int32_t low,
                                        int32_t high)
{
    return (int8_t)(driftc_clamp(driftc_scale(sum, multiplier, shift), low - zero, high - zero) + zero);
}

/* A finished sum as int8 with LiteRT's single rounding of the float64 product sum * multiplier / 2^shift, halves away
 * from zero; multiplier has 53 bits, shift is 27 to 85. The product's 84 bits are kept as high * 2^26 + low; float64
 * holds 53 of them, so what lies less than half a unit of those below a tie counts as the tie. */
DRIFTC_INLINE int8_t driftc_to_int8_exact(int32_t sum, int64_t multiplier, int shift, int32_t zero, int32_t low,
                                          int32_t high)
{
    const uint32_t mask = ((uint32_t)1 << 26) - 1;
    const uint64_t magnitude = sum < 0 ? 0 - (uint64_t)sum : (uint64_t)sum;
    const uint64_t tail = magnitude * ((uint64_t)multiplier & mask);
    const uint64_t head = magnitude * ((uint64_t)multiplier >> 26) + (tail >> 26);
    uint64_t half = 0;
    uint64_t scaled;
    int bits = 26;

    for (uint64_t rest = head; rest != 0; rest >>= 1)
        bits++;
    if (bits > 53)
        half = (uint64_t)1 << (bits - 54);
    scaled = (head + (half >> 26) + (((tail & mask) + (half & mask)) >> 26) + ((uint64_t)1 << (shift - 27))) >> (shift - 26);
    if (scaled > 512)
        scaled = 512;
    return (int8_t)driftc_clamp((sum < 0 ? -(int32_t)scaled : (int32_t)scaled) + zero, low, high);
}

/* Number `index` of values of four bits, -8 to 7, two a byte, the low half first. */
DRIFTC_INLINE int32_t driftc_int4(const int8_t *packed, int index)
{
    return (int32_t)((uint32_t)packed[index >> 1] << (index & 1 ? 24 : 28)) >> 28;
}

/* 1 / (1 + x) for x in [0, 1], both Q0.31: three Newton-Raphson steps, as gemmlowp has them. */
static inline int32_t driftc_one_over_one_plus(int32_t x)
{
    const int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) >> 1);
    int32_t guess = 1515870810 + driftc_multiply_high(half, -1010580540); /* Q2.29: 48/17 - 32/17 * half */

    for (int step = 0; step < 3; step++) {
        const int32_t error = (1 << 29) - driftc_multiply_high(half, guess);

        guess += driftc_multiply_high(guess, error) * 4;
    }
    return guess > INT32_MAX / 2 ? INT32_MAX : guess * 2;
}

/* Leading zero bits of x, which is not 0. */
static inline int driftc_leading_zeros(uint32_t x)
{
#if defined(__GNUC__)
    return __builtin_clz(x);
#else
    int zeros = 0;

    while ((x & 0x80000000u) == 0) {
        x <<= 1;
        zeros++;
    }
    return zeros;
#endif
}

/* 1 / sqrt(x) as *value / 2^31 / 2^result for x >= 0 (0 counts as 1): five Newton-Raphson steps in Q3.28, as TFLite
 * has them. */
static inline int driftc_inverse_root(int32_t x, int32_t *value)
{
    int32_t root = 1 << 28;
    int32_t half;
    int shift = 11;

    if (x <= 1) {
        *value = INT32_MAX;
        return 0;
    }
    for (; x >= 1 << 29; x /= 4)
        shift++;
    for (; x < 1 << 27; x *= 4)
        shift--;
    half = driftc_shift_right(x >> 1, 1);
    for (int step = 0; step < 5; step++) {
        const int32_t cube = driftc_multiply_high(driftc_multiply_high(root, root), root) * 64;

        root = (driftc_multiply_high(root, (1 << 28) + (1 << 27)) - driftc_multiply_high(half, cube)) * 8;
    }
    root = driftc_multiply_high(root, 1518500250);
    *value = shift < 0 ? root * (1 << -shift) : root;
    return shift < 0 ? 0 : shift;
}

/* ln(x) in Q5.26 for x >= 1 in Q12.19, as TFLite has it: a rational function around the fourth root of a half. */
static inline int32_t driftc_log(int32_t x)
{
    const int zeros = driftc_leading_zeros((uint32_t)x);
    const int32_t half_root = driftc_multiply_high(x, 1518500250);
    const int zeros_b = driftc_leading_zeros((uint32_t)half_root) - 1;
    const int32_t root_a = driftc_multiply_high((int32_t)((uint32_t)x << (zeros - 1)), 1518500250);
    const int32_t root_b = x >= 1 << (31 - zeros_b) ? INT32_MAX : (int32_t)((uint32_t)x << zeros_b);
    const int32_t doubled = root_a > INT32_MAX / 2 ? INT32_MAX : root_a * 2;
    const int32_t root = doubled < root_b ? doubled : root_b;
    const int32_t power_a = (12 - zeros) * (1 << 25) + (1 << 23);
    const int32_t power_b = (12 - zeros_b) * (1 << 25) - (1 << 23);
    const int32_t apart = (root - 1805811301) * 2;
    const int32_t square = driftc_multiply_high(apart, apart);
    const int32_t middle = (int32_t)(((int64_t)root + 1805811301 + 1) >> 1);
    const int32_t above =
        driftc_multiply_high(apart, root) + driftc_multiply_high(driftc_multiply_high(apart, square), 117049297);
    const int32_t below = driftc_multiply_high(middle, 1057819769 + apart + driftc_multiply_high(square, 127690142)) +
                          driftc_multiply_high(apart, 638450708);
    const int32_t share = driftc_multiply_high(driftc_shift_right(above, 6), driftc_one_over_one_plus(below));

    return (driftc_multiply_high(power_a > power_b ? power_a : power_b, 1488522236) + share) * 2;
}

#endif
