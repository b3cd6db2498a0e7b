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
    const uint32_t high = (uint32_t)(largest >> 32), low = (uint32_t)largest;

    if (high != 0)
        return 50 - driftc_leading_zeros_fast(high);
    return low < 1 << 14 ? 0 : 18 - driftc_leading_zeros_fast(low);
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

/* A sum as it would be if the channel had the source's statistics: centres Q.16, spread Q.12, level Q.24. */
DRIFTC_INLINE int32_t driftc_meta_normed(int32_t sum, int32_t centre, int32_t spread, int32_t source, int32_t level, int32_t pixels)
{
    const int64_t gain = driftc_clamp(driftc_exp2((level - driftc_log2((uint32_t)spread + 4)) >> 5), 1 << 14, 1 << 18);
    const int64_t apart = (int64_t)sum * 65536 - (int64_t)centre * pixels;
    const int64_t moved = ((gain * apart) >> 16) + (int64_t)source * pixels;

    return driftc_within(driftc_rounded_wide(moved, 16), -255 * pixels, 255 * pixels);
}

/* A channel's running mean and variance, moved by 2^-bits of what a sample is away from them; over / 2^shift = 1 / pixels. */
DRIFTC_INLINE void driftc_meta_moved(int32_t sum, int32_t squares, int32_t centre, int32_t spread, int32_t over, int shift,
                                     int bits, int32_t *next_centre, int32_t *next_spread)
{
    const int64_t mean = ((int64_t)sum * over) >> (shift - 16);
    const int64_t own = (((int64_t)squares * over) >> (shift - 12)) - ((mean * mean) >> 20);
    const int64_t away = mean - centre;
    const int64_t square = (away * away) >> 20;

    *next_centre = centre + (int32_t)driftc_rounded_wide(away, bits);
    *next_spread = spread + (int32_t)driftc_rounded_wide((own > 0 ? own : 0) + square - driftc_rounded_wide(square, bits) - spread, bits);
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

/* p (x - M) + 5 p (l - lm) of a class, by its row's scale; middle = M + 5 lm. */
DRIFTC_INLINE int64_t driftc_slope(const driftc_entropy_t *layer, int32_t p, int32_t away, int32_t mean, int32_t middle, int c)
{
    const int32_t level = driftc_ln((uint32_t)mean + 33) - 15 * 2839;
    const int64_t slope = (int64_t)p * (((away * layer->nat) >> 8) + 5 * level - middle);

    return layer->scale != NULL ? (slope * layer->scale[c]) >> 15 : slope;
}

/* Gradient within +-2^14 and its exponent, `info`: that and whether to learn; both running means. */
static inline void driftc_entropy_gradient(const driftc_entropy_t *layer, const int8_t *logit, const int16_t *mean_before,
                                           const int16_t *share_before, int16_t *gradient, int32_t *info, int16_t *mean,
                                           int16_t *share)
{
    int best = 0, exponent;
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
        const uint32_t power = driftc_halved(halves < 4096 ? halves : 4096);

        gradient[c] = (int16_t)((int32_t)power - (1 << 14));
        sum += power;
    }
    for (int c = 0; c < layer->classes; c++) { /* the probability takes the power's place */
        const int32_t p = (int32_t)(((uint32_t)(gradient[c] + (1 << 14)) << 15) / sum);

        gradient[c] = (int16_t)(p - (1 << 14));
        products += (int64_t)p * (((logit[best] - logit[c]) * layer->nat) >> 8);
        levels += (int64_t)p * (driftc_ln((uint32_t)mean_before[c] + 33) - 15 * 2839);
    }
    middle = (int32_t)(products >> 15);
    level = (int32_t)(levels >> 15);
    entropy = middle + driftc_ln(sum) - 15 * 2839;
    open = most < 13107 && entropy < layer->limit;
    for (int c = 0; open && c < layer->classes; c++) {
        const int64_t slope = driftc_slope(layer, gradient[c] + (1 << 14), logit[best] - logit[c], mean_before[c], middle + 5 * level, c);

        if (driftc_magnitude(slope) > largest)
            largest = driftc_magnitude(slope);
    }
    exponent = driftc_exponent(largest);
    for (int c = 0; c < layer->classes; c++) {
        const int32_t p = gradient[c] + (1 << 14);
        const int64_t slope = open ? driftc_slope(layer, p, logit[best] - logit[c], mean_before[c], middle + 5 * level, c) : 0;

        gradient[c] = (int16_t)driftc_rounded_wide(slope, exponent);
        mean[c] = (int16_t)(mean_before[c] + driftc_rounded((p - mean_before[c]) * 1311, 16));
        share[c] = (int16_t)(share_before[c] + driftc_rounded(((c == best ? 32767 : 0) - share_before[c]) * 3277, 16));
    }
    info[0] = exponent;
    info[1] = open;
}

/* What the map adds to a sum, Q.24. */
DRIFTC_INLINE int64_t driftc_meta_apart(int32_t gain, int32_t offset, int32_t sum, int32_t pixels)
{
    return (int64_t)(gain - (1 << 24)) * sum + (int64_t)offset * (pixels * 16);
}

/* Of sums that add up to `size`, moved by `apart`, Q.24: how far, Q.15. */
static inline int32_t driftc_meta_distance(int64_t apart, uint64_t size)
{
    const uint64_t moved = (uint64_t)apart >> 24;
    int down = 0;

    if (moved >= size)
        return moved != 0 ? 1 << 15 : 0;
    while (size >> down >= 1 << 16)
        down++;
    return (int32_t)(((uint32_t)(moved >> down) << 15) / (uint32_t)(size >> down));
}

typedef struct {
    int channels, pixels;
    int gain, gain_shift, hold, hold_shift, offset, offset_shift; /* factors: mantissa / 2^shift */
    int32_t hold_offset, bound;
} driftc_update_t;

/* Gains and offsets after a step, in their place or not; gives how far the sum was moved before it. */
DRIFTC_INLINE int64_t driftc_meta_step(const driftc_update_t *layer, int32_t gain, int32_t offset, int32_t sum, int32_t slope,
                                    int exponent, int32_t *next_gain, int32_t *next_offset)
{
    const int64_t apart = driftc_meta_apart(gain, offset, sum, layer->pixels);
    const int side = (apart > 0) - (apart < 0);
    const int64_t moved = driftc_rounded_wide((int64_t)slope * sum * layer->gain, layer->gain_shift - exponent) +
                          driftc_rounded_wide((int64_t)side * sum * layer->hold, layer->hold_shift);
    const int64_t shifted = driftc_rounded_wide((int64_t)slope * layer->offset, layer->offset_shift - exponent) +
                            side * layer->hold_offset;

    *next_gain = driftc_within(gain - moved, -(1 << 25), (1 << 25) - 1);
    *next_offset = driftc_within(offset - shifted, -layer->bound, layer->bound);
    return driftc_magnitude(apart);
}

/* x * mantissa / 2^shift, halves upwards, by the high word alone; mantissa below 2^15, shift above 16. */
DRIFTC_INLINE int32_t driftc_factored(int32_t x, int mantissa, int shift)
{
    const int rest = shift < 47 ? shift - 17 : 30; /* from 47 on it is 0 */
    const int32_t high = (int32_t)(((int64_t)x * (mantissa << 16)) >> 32);

    return (high + (1 << rest)) >> (rest + 1);
}

/* The same where up to 512 pixels keep |slope * sum| below 2^31; the shift of gains above 16, that of offsets above 0; the hold's
 * above 16, or up to 256 pixels that keep |sum * hold| below 2^31. */
DRIFTC_INLINE int64_t driftc_meta_step_short(const driftc_update_t *layer, int32_t gain, int32_t offset, int32_t sum, int32_t slope,
                                          int gain_shift, int offset_shift, int32_t *next_gain, int32_t *next_offset)
{
    const int64_t apart = driftc_meta_apart(gain, offset, sum, layer->pixels);
    const int side = (apart > 0) - (apart < 0);
    const int32_t moved = driftc_factored(slope * sum, layer->gain, gain_shift) +
                          (layer->hold_shift > 16 ? driftc_factored(side * sum, layer->hold, layer->hold_shift)
                                                  : driftc_rounded(side * sum * layer->hold, layer->hold_shift));
    const int32_t shifted = driftc_rounded(slope * layer->offset, offset_shift < 30 ? offset_shift : 30) +
                            side * layer->hold_offset;

    *next_gain = driftc_clamp(gain - moved, -(1 << 25), (1 << 25) - 1);
    *next_offset = driftc_within((int64_t)offset - shifted, -layer->bound, layer->bound);
    return driftc_magnitude(apart);
}

/* A value of a map behind its meta network, which is `value` above the zero point: gain Q.24, offset Q.20. */
DRIFTC_INLINE int8_t driftc_meta_value(int32_t value, int32_t gain, int32_t offset, int zero)
{
    return (int8_t)driftc_within(driftc_rounded_wide((int64_t)gain * value + (int64_t)offset * 16, 24) + zero, -128, 127);
}

/* product / 2^down, halves upwards, within +-2^30; any shift. */
DRIFTC_INLINE int64_t driftc_stepped(int64_t product, int down)
{
    const int32_t most = 1 << 30;

    if (down >= 1)
        return driftc_within(driftc_rounded_wide(product, down < 62 ? down : 62), -most, most);
    return driftc_within(driftc_within(product, -most, most) * ((int64_t)1 << (down > -31 ? -down : 31)), -most, most);
}

/* An error with 14 bits more, shifted down to the larger exponent. */
DRIFTC_INLINE int32_t driftc_both(int32_t error, int down)
{
    const int32_t finer = error * (1 << 14);

    return down < 1 ? finer : driftc_rounded(finer, down);
}

#endif
