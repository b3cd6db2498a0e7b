/* driftc_logmel.h: log-mel features of sound at 8 kHz, in fixed point: a frame of 256 samples at a time.
 *
 * examples/logmel.py is the specification, to the bit, and writes the tables that this file includes:
 *
 *     python examples/logmel.py --bands 10 driftc_logmel_tables.h
 *
 * Two values of 16 bits share a word: the real part is the low half. With the DSP extension an instruction computes both; the
 * plain C beside it gives the same bits.
 */
#ifndef DRIFTC_LOGMEL_H
#define DRIFTC_LOGMEL_H

#include "driftc.h"
#include "driftc_logmel_tables.h"

#define DRIFTC_LOGMEL_POINTS (DRIFTC_LOGMEL_FRAME / 2)

/* Room for one frame; nothing stays in it. */
typedef struct {
    uint32_t values[DRIFTC_LOGMEL_POINTS]; /* complex */
    uint32_t powers[DRIFTC_LOGMEL_POINTS];
} driftc_logmel_t;

#if defined(__GNUC__) && defined(__ARM_FEATURE_DSP) && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define DRIFTC_LOGMEL_OPERATION(name, instruction, shift, type, plain)        \
    DRIFTC_INLINE type name(uint32_t x, uint32_t y)                           \
    {                                                                         \
        type z;                                                               \
        __asm__(instruction " %0, %1, %2" shift : "=r"(z) : "r"(x), "r"(y)); \
        return z;                                                             \
    }
#else
#define DRIFTC_LOGMEL_OPERATION(name, instruction, shift, type, plain) \
    DRIFTC_INLINE type name(uint32_t x, uint32_t y)                    \
    {                                                                  \
        return plain;                                                  \
    }
#endif

DRIFTC_INLINE int32_t driftc_logmel_real(uint32_t x)
{
    return (int16_t)(uint16_t)x;
}

DRIFTC_INLINE int32_t driftc_logmel_imaginary(uint32_t x)
{
    return (int32_t)x >> 16;
}

/* The low halves of both. */
DRIFTC_LOGMEL_OPERATION(driftc_logmel_halves, "pkhbt", ", lsl #16", uint32_t, (x & 0xFFFFu) | y << 16)

DRIFTC_INLINE uint32_t driftc_logmel_complex(int32_t real, int32_t imaginary)
{
    return driftc_logmel_halves((uint32_t)real, (uint32_t)imaginary);
}

#define RE driftc_logmel_real
#define IM driftc_logmel_imaginary
#define PAIR driftc_logmel_complex

DRIFTC_LOGMEL_OPERATION(driftc_logmel_sum, "sadd16", "", uint32_t, PAIR(RE(x) + RE(y), IM(x) + IM(y)))
DRIFTC_LOGMEL_OPERATION(driftc_logmel_difference, "ssub16", "", uint32_t, PAIR(RE(x) - RE(y), IM(x) - IM(y)))
/* Halves of x + y, x - y, x - j y and x + j y. */
DRIFTC_LOGMEL_OPERATION(driftc_logmel_plus, "shadd16", "", uint32_t, PAIR((RE(x) + RE(y)) >> 1, (IM(x) + IM(y)) >> 1))
DRIFTC_LOGMEL_OPERATION(driftc_logmel_minus, "shsub16", "", uint32_t, PAIR((RE(x) - RE(y)) >> 1, (IM(x) - IM(y)) >> 1))
DRIFTC_LOGMEL_OPERATION(driftc_logmel_minus_j, "shsax", "", uint32_t, PAIR((RE(x) + IM(y)) >> 1, (IM(x) - RE(y)) >> 1))
DRIFTC_LOGMEL_OPERATION(driftc_logmel_plus_j, "shasx", "", uint32_t, PAIR((RE(x) - IM(y)) >> 1, (IM(x) + RE(y)) >> 1))
/* Sums of products: of the parts, and crosswise; and their difference. */
DRIFTC_LOGMEL_OPERATION(driftc_logmel_dot, "smuad", "", int32_t, RE(x) * RE(y) + IM(x) * IM(y))
DRIFTC_LOGMEL_OPERATION(driftc_logmel_cross, "smuadx", "", int32_t, RE(x) * IM(y) + IM(x) * RE(y))
DRIFTC_LOGMEL_OPERATION(driftc_logmel_differ, "smusd", "", int32_t, RE(x) * RE(y) - IM(x) * IM(y))

#undef RE
#undef IM
#undef PAIR

/* The high halves of both; the low half of x and the high one of y. */
DRIFTC_LOGMEL_OPERATION(driftc_logmel_tops, "pkhtb", ", asr #16", uint32_t, (x & 0xFFFF0000u) | y >> 16)
DRIFTC_LOGMEL_OPERATION(driftc_logmel_joined, "pkhbt", "", uint32_t, (x & 0xFFFFu) | (y & 0xFFFF0000u))

/* Half of x times a point of the unit circle, of 15 bits of fraction. */
DRIFTC_INLINE uint32_t driftc_logmel_turned(uint32_t x, uint32_t point)
{
    return driftc_logmel_tops((uint32_t)driftc_logmel_cross(x, point), (uint32_t)driftc_logmel_differ(x, point));
}

/* How many bits the number has; 0 for 0. */
DRIFTC_INLINE int driftc_logmel_bits(uint32_t x)
{
#if defined(__GNUC__)
    return x == 0 ? 0 : 32 - __builtin_clz(x);
#else
    int bits = 0;

    for (; x > 0; x >>= 1)
        bits++;
    return bits;
#endif
}

/* By how many bits to the left the largest sample has 13: -2..13. */
static int driftc_logmel_shift(const int16_t *samples)
{
    uint32_t changes = 0; /* where a bit differs from the one below it: of a sample of n bits, bit n is the highest */

    for (int i = 0; i < DRIFTC_LOGMEL_FRAME; i += 2) {
        uint32_t pair;

        memcpy(&pair, samples + i, sizeof pair);
        changes |= pair ^ pair << 1; /* what the low half puts into bit 0 of the high one says nothing */
    }
    return 14 - driftc_logmel_bits(((changes | changes >> 16) & 0xFFFFu) | 1u);
}

static void driftc_logmel_windowed(driftc_logmel_t *work, const int16_t *samples, int left)
{
    const uint32_t *window = driftc_logmel_window;
    int right = 15 - left;
    int32_t half = 1 << right >> 1;

    for (uint32_t *to = work->values; to < work->values + DRIFTC_LOGMEL_POINTS; samples += 2, window++) {
        uint32_t pair, factors = *window;
        int32_t even, odd;

        memcpy(&pair, samples, sizeof pair);
        even = (driftc_logmel_real(pair) * driftc_logmel_real(factors) + half) >> right;
        odd = (driftc_logmel_imaginary(pair) * driftc_logmel_imaginary(factors) + half) >> right;
        *to++ = driftc_logmel_complex(even, odd);
    }
}

/* One step of radix 4 over each `size` values, divided by 4. Of 13 bits, no sum has more than 16. */
DRIFTC_INLINE void driftc_logmel_radix4(uint32_t *values, const uint32_t *twiddles, int size)
{
    int quarter = size / 4;

    for (int k = 0; k < quarter; k++, twiddles += 3) {
        uint32_t one = twiddles[0], two = twiddles[1], three = twiddles[2];

        uint32_t *x = values + k;

        do {
            uint32_t a = driftc_logmel_sum(x[0], x[2 * quarter]);
            uint32_t b = driftc_logmel_difference(x[0], x[2 * quarter]);
            uint32_t c = driftc_logmel_sum(x[quarter], x[3 * quarter]);
            uint32_t d = driftc_logmel_difference(x[quarter], x[3 * quarter]);

            x[0] = driftc_logmel_plus(driftc_logmel_plus(a, c), 0);
            x[quarter] = driftc_logmel_turned(driftc_logmel_minus_j(b, d), one);
            x[2 * quarter] = driftc_logmel_turned(driftc_logmel_minus(a, c), two);
            x[3 * quarter] = driftc_logmel_turned(driftc_logmel_plus_j(b, d), three);
            x += size;
        } while (x < values + DRIFTC_LOGMEL_POINTS);
    }
}

/* Divided by 128, in the order of driftc_logmel_order. */
static void driftc_logmel_transform(uint32_t *values)
{
    driftc_logmel_radix4(values, driftc_logmel_twiddles, 128);
    driftc_logmel_radix4(values, driftc_logmel_twiddles + 3 * 32, 32);
    driftc_logmel_radix4(values, driftc_logmel_twiddles + 3 * (32 + 8), 8);
    for (uint32_t *x = values; x < values + DRIFTC_LOGMEL_POINTS; x += 2) {
        uint32_t a = x[0], b = x[1];

        x[0] = driftc_logmel_plus(a, b);
        x[1] = driftc_logmel_minus(a, b);
    }
}

/* Frequencies `up` and its mirror `down`, from what even and odd samples gave as real and imaginary parts. */
DRIFTC_INLINE void driftc_logmel_split(driftc_logmel_t *work, int up, int down)
{
    uint32_t z = work->values[driftc_logmel_order[up]];
    uint32_t mirror = work->values[driftc_logmel_order[down]];
    uint32_t even = driftc_logmel_joined(driftc_logmel_plus(z, mirror), driftc_logmel_minus(z, mirror));
    uint32_t odd = driftc_logmel_halves(driftc_logmel_sum(z, mirror) >> 16, driftc_logmel_difference(mirror, z));
    uint32_t turned = driftc_logmel_turned(odd, driftc_logmel_circle[up]);
    /* |even + turned| and |even - turned|, squared. */
    uint32_t both = (uint32_t)driftc_logmel_dot(even, even) + (uint32_t)driftc_logmel_dot(turned, turned);
    uint32_t twice = 2u * (uint32_t)driftc_logmel_dot(even, turned);

    work->powers[down] = both - twice;
    work->powers[up] = both + twice;
}

/* 16 bits of fraction; of a value that is not 0. Linear between the 33 entries of the table. */
DRIFTC_INLINE int32_t driftc_logmel_log2(uint64_t value)
{
    uint32_t high = (uint32_t)(value >> 32), low = (uint32_t)value;
    int exponent = high ? 31 + driftc_logmel_bits(high) : driftc_logmel_bits(low) - 1;
    uint32_t fraction = (uint32_t)(exponent >= 16 ? value >> (exponent - 16) : value << (16 - exponent)) & 0xFFFFu;
    const uint32_t *entry = driftc_logmel_log + (fraction >> 11);

    return (exponent * 65536) + (int32_t)(entry[0] + ((entry[1] - entry[0]) * (fraction & 2047u) >> 11));
}

/* Features of DRIFTC_LOGMEL_FRAME samples: the natural logarithm of each band's mean power, DRIFTC_LOGMEL_UNIT to 1. */
static void driftc_logmel(driftc_logmel_t *work, const int16_t *samples, int16_t features[DRIFTC_LOGMEL_BANDS])
{
    const uint16_t *weight = driftc_logmel_weights;
    int left = driftc_logmel_shift(samples);
    uint64_t floor = (uint64_t)DRIFTC_LOGMEL_FLOOR << 2 * (left + 2);
    int32_t unit = (32 + 2 * left) * 65536 + DRIFTC_LOGMEL_WINDOW_LOG2;

    driftc_logmel_windowed(work, samples, left);
    driftc_logmel_transform(work->values);
    driftc_logmel_split(work, 0, 0);
    for (int k = 1; k <= DRIFTC_LOGMEL_POINTS / 2; k++)
        driftc_logmel_split(work, k, DRIFTC_LOGMEL_POINTS - k);
    for (int band = 0; band < DRIFTC_LOGMEL_BANDS; band++) {
        const uint32_t *power = work->powers + driftc_logmel_first[band];
        uint64_t energy = floor;
        int64_t log2;

        for (const uint16_t *end = weight + driftc_logmel_count[band]; weight < end; weight++)
            energy += (uint64_t)*power++ * *weight;
        log2 = driftc_logmel_log2(energy) - unit;
        features[band] = (int16_t)((log2 * DRIFTC_LOGMEL_LN2 + (1 << 21)) >> 22);
    }
}

#endif
