/* driftc_mve.h: what layers for the vector extension MVE (Helium) of Cortex-M55, M85 and their relatives share.
 *
 * Each function that uses it has a twin in plain C that computes the same bytes, so that code for these cores also builds and
 * runs on a computer. Little-endian.
 */
#ifndef DRIFTC_MVE_H
#define DRIFTC_MVE_H

#include "driftc.h"

#if defined(__ARM_FEATURE_MVE)
#define DRIFTC_MVE 1
#include <arm_mve.h>
#else
#define DRIFTC_MVE 0
#if (defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M') || defined(__ARM_ARCH_6M__) || defined(__riscv) || \
    defined(__XTENSA__)
#pragma message("no MVE here: slow plain C is used; driftc compile --core has faster C for this core")
#endif
#endif

/* A layer's constants, in the order in which the vector functions read them. */
typedef struct {
    const int8_t *weights; /* for 4 channels: each vector of 16 inputs by the first, the second, ...; rows padded with 0 */
    const int32_t *scales; /* for 4 channels: biases, multipliers, a word of left shifts (below 0); see each function */
    int32_t run;           /* bytes in a row of a window */
    int32_t rows;
    int32_t channels;
    int32_t zero;      /* zero point of the output */
    int32_t low, high; /* the smallest and the largest output */
    int32_t multiplier; /* where all channels share one: then the scales are only biases */
    int32_t shift;      /* of the same, left */
} driftc_mve_t;

/* Of an elementwise operator, in the order in which its function reads them. */
typedef struct {
    struct {
        int32_t offset; /* less the zero point; where terms are scaled times 2^20 */
        int32_t multiplier;
        int32_t shift; /* left, 0 or below */
    } term[2];
    int32_t multiplier;
    int32_t shift; /* left, below 0 */
    int32_t zero;
    int32_t low, high;
} driftc_mve_pair_t;

/* Of a pooling layer. */
typedef struct {
    int32_t channels;
    int32_t pixel, row; /* bytes from one to the next */
    int32_t low, high;
} driftc_mve_pool_t;

/* VQRDMULH and VRSHL: x * multiplier / 2^31, times 2^shift, which is 0 or below; halves are rounded away from zero, or upwards. */
DRIFTC_INLINE int32_t driftc_scaled_lane(int32_t x, int32_t multiplier, int32_t shift, int away)
{
    const int64_t high = (((int64_t)x * multiplier + (1 << 30)) >> 31) + (away ? x >> 31 : 0);

    return (int32_t)(shift == 0 ? high : (high + ((int64_t)1 << (-shift - 1))) >> -shift);
}

/* A finished sum as int8. Halves are rounded away from zero, or upwards, where nothing below the zero point is kept. */
DRIFTC_INLINE int32_t driftc_lane(uint32_t sum, int32_t multiplier, int32_t shift, int away, int32_t zero)
{
    return driftc_clamp(driftc_scaled_lane((int32_t)sum, multiplier, shift, away) + zero, -128, 127);
}

/* Byte `place` of a word. */
DRIFTC_INLINE int32_t driftc_byte_of(int32_t word, int place)
{
    return (int8_t)(uint8_t)((uint32_t)word >> (8 * place));
}

#endif
