/* driftc_norm.h: the arithmetic of normalisations that learn, as docs/arithmetic.md states it. */
#ifndef DRIFTC_NORM_H
#define DRIFTC_NORM_H

#include "driftc_adapt.h"
#include "driftc_learn.h"

/* 2^(code / 64), Q.16 */
DRIFTC_INLINE int32_t driftc_gain(int32_t code)
{
    return driftc_exp2(code * (1 << 14));
}

/* x * gain / 2^16, halves upwards. */
DRIFTC_INLINE int64_t driftc_gained(int64_t x, int32_t gain)
{
    return (x * gain + (1 << 15)) >> 16;
}

#endif
