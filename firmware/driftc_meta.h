/* driftc_meta.h: the arithmetic of meta networks that learn from their own decisions, as docs/arithmetic.md states it. */
#ifndef DRIFTC_META_H
#define DRIFTC_META_H

#include "driftc_adapt.h"
#include "driftc_learn.h"

/* x / 2^shift, halves upwards; a shift below 1 multiplies. What is shifted stays below 2^62. */
DRIFTC_INLINE int64_t driftc_rounded_wide(int64_t x, int shift)
{
    if (shift < 1)
        return x * ((int64_t)1 << -shift);
    return (x + ((int64_t)1 << (shift - 1))) >> shift;
}

/* By how many bits `largest`, not negative, is shifted to be below 2^14. */
DRIFTC_INLINE int driftc_exponent(int64_t largest)
{
    int bits = 0;

    while (largest >> bits >= 1 << 14)
        bits++;
    return bits;
}

DRIFTC_INLINE int64_t driftc_magnitude(int64_t x)
{
    return x < 0 ? -x : x;
}

DRIFTC_INLINE int32_t driftc_within(int64_t x, int32_t low, int32_t high)
{
    return x < low ? low : x > high ? high : (int32_t)x;
}

/* A sum behind the meta network: gain Q.24, offset Q.20. */
DRIFTC_INLINE int32_t driftc_meta(int32_t sum, int32_t gain, int32_t offset, int32_t pixels)
{
    const int64_t scaled = driftc_rounded_wide((int64_t)(gain - (1 << 24)) * sum, 24);
    const int64_t moved = driftc_rounded_wide((int64_t)pixels * offset, 20);

    return driftc_within(sum + scaled + moved, -255 * pixels, 255 * pixels);
}

/* ln(x), Q.12. */
static inline int32_t driftc_ln(uint32_t x)
{
    return (int32_t)(((int64_t)driftc_log2(x) * 2839) >> 24);
}

typedef struct {
    int classes;
    int32_t octave, nat, limit; /* a logit's step in 1/256 octaves, Q.8, and in nats, Q.20; of the entropy, Q.12 */
    const int32_t *scale;       /* of each row, Q.15; NULL: all alike */
} driftc_entropy_t;

/* p of class c, Q.15, and how many nats below the largest, Q.12. */
DRIFTC_INLINE int32_t driftc_probability(const driftc_entropy_t *layer, int32_t away, uint32_t sum)
{
    const int32_t halves = (away * layer->octave) >> 8;

    return (int32_t)((driftc_halved(halves < 4096 ? halves : 4096) << 15) / sum);
}

/* Gradient within +-2^14 and its exponent, `info`: that and whether to learn; both running means. */
static inline void driftc_entropy_gradient(const driftc_entropy_t *layer, const int8_t *logit, const int16_t *mean_before,
                                           const int16_t *share_before, int16_t *gradient, int32_t *info, int16_t *mean,
                                           int16_t *share)
{
    int best = 0, exponent = 0;
    int32_t most = 0, middle, entropy, level, open;
    int64_t products = 0, levels = 0, largest = 0;
    uint32_t sum = 0;

    for (int c = 0; c < layer->classes; c++) {
        if (logit[c] > logit[best])
            best = c;
        if (share_before[c] > most)
            most = share_before[c];
    }
    for (int c = 0; c < layer->classes; c++) {
        const int32_t halves = ((logit[best] - logit[c]) * layer->octave) >> 8;

        sum += driftc_halved(halves < 4096 ? halves : 4096);
    }
    for (int c = 0; c < layer->classes; c++) {
        const int32_t away = logit[best] - logit[c], p = driftc_probability(layer, away, sum);

        products += (int64_t)p * ((away * layer->nat) >> 8);
        levels += (int64_t)p * (driftc_ln((uint32_t)mean_before[c] + 33) - 15 * 2839);
    }
    middle = (int32_t)(products >> 15);
    level = (int32_t)(levels >> 15);
    entropy = middle + driftc_ln(sum) - 15 * 2839;
    open = most < 13107 && entropy < layer->limit;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1)
            exponent = open ? driftc_exponent(largest) : 0;
        for (int c = 0; c < layer->classes; c++) {
            const int32_t away = logit[best] - logit[c], p = driftc_probability(layer, away, sum);
            int64_t slope = (int64_t)p * (((away * layer->nat) >> 8) - middle);

            slope += 5 * (int64_t)p * (driftc_ln((uint32_t)mean_before[c] + 33) - 15 * 2839 - level);
            if (layer->scale != NULL)
                slope = (slope * layer->scale[c]) >> 15;
            if (pass == 0) {
                if (driftc_magnitude(slope) > largest)
                    largest = driftc_magnitude(slope);
                continue;
            }
            gradient[c] = (int16_t)(open ? driftc_rounded_wide(slope, exponent) : 0);
            mean[c] = (int16_t)(mean_before[c] + driftc_rounded((p - mean_before[c]) * 1311, 16));
            share[c] = (int16_t)(share_before[c] + driftc_rounded(((c == best ? 32767 : 0) - share_before[c]) * 3277, 16));
        }
    }
    info[0] = exponent;
    info[1] = open;
}

typedef struct {
    int channels, pixels;
    int gain, gain_shift, hold, hold_shift, offset, offset_shift; /* factors: mantissa / 2^shift */
    int32_t hold_offset, bound;
} driftc_update_t;

/* Gains and offsets after a step, in their place or not. */
DRIFTC_INLINE void driftc_meta_step(const driftc_update_t *layer, int32_t gain, int32_t offset, int32_t sum, int32_t slope,
                                    int exponent, int32_t *next_gain, int32_t *next_offset)
{
    const int64_t apart = (int64_t)(gain - (1 << 24)) * sum + (int64_t)offset * layer->pixels * 16;
    const int side = (apart > 0) - (apart < 0);
    const int64_t moved = driftc_rounded_wide((int64_t)slope * sum * layer->gain, layer->gain_shift - exponent) +
                          driftc_rounded_wide((int64_t)side * sum * layer->hold, layer->hold_shift);
    const int64_t shifted = driftc_rounded_wide((int64_t)slope * layer->offset, layer->offset_shift - exponent) +
                            side * layer->hold_offset;

    *next_gain = driftc_within(gain - moved, -(1 << 25), (1 << 25) - 1);
    *next_offset = driftc_within(offset - shifted, -layer->bound, layer->bound);
}

#endif
