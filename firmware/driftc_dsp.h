/* driftc_dsp.h: what layers for the DSP extension of Cortex-M4, M7, M33 and their relatives share.
 *
 * Each instruction is a function of one line, and has a twin in plain C that computes the same bits, so that code for these
 * cores also builds and runs on a computer. Little-endian.
 */
#ifndef DRIFTC_DSP_H
#define DRIFTC_DSP_H

#include "driftc.h"

#if defined(__GNUC__) && defined(__ARM_FEATURE_DSP) && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define DRIFTC_DSP 1
#else
#define DRIFTC_DSP 0
#if (defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M') || defined(__ARM_ARCH_6M__) || defined(__riscv) || \
    defined(__XTENSA__)
#pragma message("no DSP instructions here: slow plain C is used; driftc compile --core has faster C for this core")
#endif
#endif

/* A layer's constants, in the order in which the matrix functions read them. */
typedef struct {
    const int8_t *weights; /* for 4 channels: pairs of inputs, each two twins, one for channels 0 and 1, one for 2 and 3 */
    const int32_t *scales; /* a channel: twice the bias, multiplier */
    const uint8_t *shifts; /* a channel: right shift, less one */
    int32_t pairs;         /* of inputs of one sum, a multiple of 4 */
    int32_t channels;      /* a multiple of 4 */
    int32_t zero;          /* 2 * zero point + 1 */
    uint32_t low, high;    /* the smallest and the largest output, in every byte */
    int32_t multiplier;    /* where all channels share one: then the scales are only biases */
    int32_t shift;         /* of the same, less one */
} driftc_dsp_t;

/* A channel of a depthwise 3x3 convolution, in the order in which its functions read it. */
typedef struct {
    int32_t twice; /* the bias */
    int32_t multiplier;
    int32_t half;      /* see driftc_scaled_up */
    int32_t shift;     /* less one */
    uint32_t pairs[6]; /* a row of the window: twice the weights 0 and 1, and 1 and 2 */
    int32_t step;      /* bytes from output to output */
    int32_t rows;
} driftc_dsp_window_t;

/* Four bytes from anywhere. */
DRIFTC_INLINE uint32_t driftc_load(const int8_t *from)
{
    uint32_t word;

#if DRIFTC_DSP
    __builtin_memcpy(&word, from, sizeof word);
#else
    memcpy(&word, from, sizeof word);
#endif
    return word;
}

/* The low half of `a` below the low half of `b`; the high half of `a` above which is put that of `b`. */
DRIFTC_INLINE uint32_t driftc_halves(int32_t low, int32_t high)
{
    return ((uint32_t)low & 0xFFFFu) | (uint32_t)high << 16;
}

DRIFTC_INLINE int32_t driftc_low_half(uint32_t x)
{
    return (int16_t)(uint16_t)x;
}

DRIFTC_INLINE int32_t driftc_high_half(uint32_t x)
{
    return (int16_t)(uint16_t)(x >> 16);
}

/* Bytes 0 and 2, sign-extended to halves. */
DRIFTC_INLINE uint32_t driftc_even(uint32_t x)
{
#if DRIFTC_DSP
    uint32_t y;

    __asm__("sxtb16 %0, %1" : "=r"(y) : "r"(x));
    return y;
#else
    return driftc_halves((int8_t)(uint8_t)x, (int8_t)(uint8_t)(x >> 16));
#endif
}

/* Bytes 1 and 3. */
DRIFTC_INLINE uint32_t driftc_odd(uint32_t x)
{
#if DRIFTC_DSP
    uint32_t y;

    __asm__("sxtb16 %0, %1, ror #8" : "=r"(y) : "r"(x));
    return y;
#else
    return driftc_even(x >> 8);
#endif
}

/* sum + the products of both halves; wraps. */
DRIFTC_INLINE uint32_t driftc_dual(uint32_t x, uint32_t y, uint32_t sum)
{
#if DRIFTC_DSP
    uint32_t z;

    __asm__("smlad %0, %1, %2, %3" : "=r"(z) : "r"(x), "r"(y), "r"(sum));
    return z;
#else
    return sum + (uint32_t)(driftc_low_half(x) * driftc_low_half(y)) + (uint32_t)(driftc_high_half(x) * driftc_high_half(y));
#endif
}

/* The halves of x and y added, and subtracted. */
DRIFTC_INLINE uint32_t driftc_plus(uint32_t x, uint32_t y)
{
#if DRIFTC_DSP
    uint32_t z;

    __asm__("sadd16 %0, %1, %2" : "=r"(z) : "r"(x), "r"(y));
    return z;
#else
    return driftc_halves(driftc_low_half(x) + driftc_low_half(y), driftc_high_half(x) + driftc_high_half(y));
#endif
}

DRIFTC_INLINE uint32_t driftc_minus(uint32_t x, uint32_t y)
{
#if DRIFTC_DSP
    uint32_t z;

    __asm__("ssub16 %0, %1, %2" : "=r"(z) : "r"(x), "r"(y));
    return z;
#else
    return driftc_halves(driftc_low_half(x) - driftc_low_half(y), driftc_high_half(x) - driftc_high_half(y));
#endif
}

/* Two channels of six pixels as Winograd's F(2, 3) multiplies them: tiles of pixels 0 to 3 and 2 to 5 next to each other. */
DRIFTC_INLINE void driftc_tiles(const uint32_t pixels[6], uint32_t products[8])
{
    for (int tile = 0; tile < 2; tile++) {
        const uint32_t *const x = pixels + 2 * tile;

        products[tile] = driftc_plus(x[1], x[2]);
        products[2 + tile] = driftc_minus(x[2], x[1]);
        products[4 + tile] = driftc_minus(x[0], x[2]);
        products[6 + tile] = driftc_minus(x[3], x[1]);
    }
}

/* `twice` = 2 * sum, scaled and rounded as TFLite Micro does: round(twice * multiplier / 2^32), then rounded by the shift,
 * and the zero point added. half = (2 * zero point + 1) << shift, where `shift` is the right shift less one, 0 to 22: it
 * rounds, and adds the zero point, under one floor. |sum| < 2^30. */
DRIFTC_INLINE int32_t driftc_scaled_up(uint32_t twice, int32_t multiplier, int32_t half)
{
#if DRIFTC_DSP
    int32_t z;

    __asm__("smmlar %0, %1, %2, %3" : "=r"(z) : "r"(twice), "r"(multiplier), "r"(half));
    return z;
#else
    return half + (int32_t)(((int64_t)(int32_t)twice * multiplier + ((int64_t)1 << 31)) >> 32);
#endif
}

/* The nearest int8 to x >> 1. */
DRIFTC_INLINE int32_t driftc_nearest_int8(int32_t x)
{
#if DRIFTC_DSP
    int32_t z;

    __asm__("ssat %0, #8, %1, asr #1" : "=r"(z) : "r"(x));
    return z;
#else
    return driftc_clamp(x >> 1, -128, 127);
#endif
}

/* A finished sum as int8, where nothing below the zero point is kept: there halves are rounded upwards. */
DRIFTC_INLINE int32_t driftc_rectified(uint32_t twice, int32_t multiplier, int32_t shift, int32_t zero)
{
    return driftc_nearest_int8(driftc_scaled_up(twice, multiplier, (int32_t)((uint32_t)zero << shift)) >> shift);
}

/* A finished sum as int8, halves away from zero. */
DRIFTC_INLINE int32_t driftc_signed(uint32_t twice, int32_t multiplier, int32_t shift, int32_t zero)
{
    const int32_t scaled = driftc_scaled_up(twice, multiplier, (int32_t)((uint32_t)zero << shift));

    return driftc_nearest_int8((scaled + ((int32_t)twice >> 31)) >> shift);
}

/* Bytes 0 and 2, and 1 and 3, of x added to the halves of two sums. */
DRIFTC_INLINE void driftc_add_bytes(uint32_t x, uint32_t *even, uint32_t *odd)
{
#if DRIFTC_DSP
    __asm__("sxtab16 %0, %0, %1" : "+r"(*even) : "r"(x));
    __asm__("sxtab16 %0, %0, %1, ror #8" : "+r"(*odd) : "r"(x));
#else
    const uint32_t e = driftc_even(x);
    const uint32_t o = driftc_odd(x);

    *even = driftc_halves(driftc_low_half(*even) + driftc_low_half(e), driftc_high_half(*even) + driftc_high_half(e));
    *odd = driftc_halves(driftc_low_half(*odd) + driftc_low_half(o), driftc_high_half(*odd) + driftc_high_half(o));
#endif
}

/* The larger int8 of each byte. */
DRIFTC_INLINE uint32_t driftc_larger(uint32_t x, uint32_t y)
{
    uint32_t z;

#if DRIFTC_DSP
    __asm__("ssub8 %0, %1, %2\n sel %0, %1, %2" : "=&r"(z) : "r"(x), "r"(y) : "cc");
#else
    z = 0;
    for (int shift = 0; shift < 32; shift += 8) {
        const int8_t a = (int8_t)(uint8_t)(x >> shift);
        const int8_t b = (int8_t)(uint8_t)(y >> shift);

        z |= (uint32_t)(uint8_t)(a > b ? a : b) << shift;
    }
#endif
    return z;
}

/* (x - zero point) * 2^20, scaled and rounded; offset = -zero point * 2^21, and x is an int8. */
DRIFTC_INLINE int32_t driftc_term(int32_t x, int32_t offset, int32_t multiplier, int shift)
{
    const uint32_t twice = (uint32_t)offset + ((uint32_t)x << 21);

    if (shift == 0)
        return driftc_scaled_up(twice, multiplier, 0);
    return (driftc_scaled_up(twice, multiplier, 1 << (shift - 1)) + ((int32_t)twice >> 31)) >> shift;
}

/* A word, to anywhere. */
DRIFTC_INLINE void driftc_store_word(int8_t *to, uint32_t word)
{
#if DRIFTC_DSP
    __builtin_memcpy(to, &word, sizeof word);
#else
    memcpy(to, &word, sizeof word);
#endif
}

/* Four int8, to anywhere. */
DRIFTC_INLINE void driftc_store(int8_t *to, const int32_t value[4])
{
#if DRIFTC_DSP
    uint32_t low = (uint32_t)value[0];
    uint32_t high = (uint32_t)value[2];
    uint32_t word;

    __asm__("bfi %0, %1, #8, #8" : "+r"(low) : "r"(value[1]));
    __asm__("bfi %0, %1, #8, #8" : "+r"(high) : "r"(value[3]));
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(word) : "r"(low), "r"(high));
    driftc_store_word(to, word);
#else
    for (int i = 0; i < 4; i++)
        to[i] = (int8_t)value[i];
#endif
}

#endif
