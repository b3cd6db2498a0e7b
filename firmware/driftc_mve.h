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
#if !defined(DRIFTC_TWIN) && ((defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M') || defined(__ARM_ARCH_6M__) || \
                              defined(__riscv) || defined(__XTENSA__))
#error "this model was compiled for a core with MVE (Helium): compile it with driftc --core for this one"
#endif
#endif

/* A layer's constants, in the order in which the vector functions read them. */
typedef struct {
    const int8_t *weights; /* for 4 channels: each vector of 16 inputs by the first, the second, ...; rows padded with 0 */
    const int32_t *scales; /* for 4 channels: biases, multipliers, left shifts (below 0) */
    int32_t run;           /* bytes in a row of a window */
    int32_t rows;
    int32_t channels;
    int32_t zero;      /* zero point of the output */
    int32_t low, high; /* the smallest and the largest output */
} driftc_mve_t;

/* A finished sum as int8, by the scales of four channels (or 16, in fours): VQRDMULH, VRSHL and VQMOVN. Halves are rounded
 * away from zero, or upwards, where nothing below the zero point is kept. */
DRIFTC_INLINE int32_t driftc_lane(uint32_t sum, const int32_t *scale, int away, int32_t zero)
{
    const int32_t total = (int32_t)(sum + (uint32_t)scale[0]);
    const int64_t high = (((int64_t)total * scale[4] + (1 << 30)) >> 31) + (away ? total >> 31 : 0);

    return driftc_clamp((int32_t)((high + ((int64_t)1 << (-scale[8] - 1))) >> -scale[8]) + zero, -128, 127);
}

#endif
