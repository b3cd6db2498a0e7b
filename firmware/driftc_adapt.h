/* driftc_adapt.h: the arithmetic of layers that normalise each sample by its own statistics.
 *
 * Integers only: no float, no square root, no division by what was measured. A layer's channel with n pixels has
 * the sums S of its accumulators and Q of their squares, both exact; from them come its multiplier M and offset O, and
 * of each value p, out = clamp((M * p + O) / 2^17). "Q.12" means 12 fraction bits.
 */
#ifndef DRIFTC_ADAPT_H
#define DRIFTC_ADAPT_H

#include "driftc.h"

/* An int64 as it lies in the arena, which is aligned to words. */
typedef struct {
    uint32_t low;
    int32_t high;
} driftc_wide_t;

DRIFTC_INLINE int64_t driftc_wide(driftc_wide_t value)
{
    return (int64_t)(((uint64_t)(uint32_t)value.high << 32) | value.low);
}

DRIFTC_INLINE driftc_wide_t driftc_narrow(int64_t value)
{
    const driftc_wide_t found = { (uint32_t)value, (int32_t)(value >> 32) };

    return found;
}

DRIFTC_INLINE void driftc_add_square(driftc_wide_t *sum, int32_t value)
{
    *sum = driftc_narrow(driftc_wide(*sum) + (int64_t)value * value);
}

/* One copy of the code in a program; compiled apart, it has the registers to itself. */
#if defined(__GNUC__)
#define DRIFTC_SHARED static __attribute__((noinline, unused))
#else
#define DRIFTC_SHARED static inline
#endif

/* Clamped to int8. */
DRIFTC_INLINE int8_t driftc_saturate(int32_t value)
{
#if defined(__ARM_FEATURE_SAT)
    __asm__("ssat %0, #8, %0" : "+r"(value));
    return (int8_t)value;
#else
    return (int8_t)((int8_t)value == value ? value : (value >> 31) ^ 127);
#endif
}

/* value / 2^17, rounded down, clamped to int8. */
DRIFTC_INLINE int8_t driftc_saturate_q17(int32_t value)
{
#if defined(__ARM_FEATURE_SAT)
    int32_t found;

    __asm__("ssat %0, #8, %1, asr #17" : "=r"(found) : "r"(value));
    return (int8_t)found;
#else
    return driftc_saturate(value >> 17);
#endif
}

/* The finished sum of an accumulator as int8: one rounding, of its product with a multiplier in Q.32. */
DRIFTC_INLINE int8_t driftc_prenorm(int32_t sum, int32_t multiplier)
{
#if defined(__ARM_FEATURE_DSP) && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
    __asm__("smmulr %0, %0, %1" : "+r"(sum) : "r"(multiplier));
    return driftc_saturate(sum);
#else
    return driftc_saturate((int32_t)(((int64_t)sum * multiplier + ((int64_t)1 << 31)) >> 32));
#endif
}

/* The finished sums of one pixel: each becomes int8, and it and its square are added to its channel's statistics. */
DRIFTC_SHARED void driftc_gather(const int32_t *restrict sum, const int32_t *end, const int32_t *restrict multiplier,
                                 int8_t *restrict values, int32_t *restrict sums, driftc_wide_t *restrict squares)
{
    for (; sum < end; sum++) {
        const int32_t one = *sum;

        *values++ = driftc_prenorm(one, *multiplier++);
        *sums++ += one;
        *squares = driftc_narrow(driftc_wide(*squares) + (int64_t)one * one);
        squares++;
    }
}

/* The same for two pixels: the sums of the second are `apart` behind those of the first, its values `step`. */
DRIFTC_SHARED void driftc_gather_two(const int32_t *restrict sum, const int32_t *end, ptrdiff_t apart,
                                     const int32_t *restrict multiplier, int8_t *restrict values, ptrdiff_t step,
                                     int32_t *restrict sums, driftc_wide_t *restrict squares)
{
    for (; sum < end; sum++) {
        const int32_t one = sum[0];
        const int32_t two = sum[apart];

        values[step] = driftc_prenorm(two, *multiplier);
        *values++ = driftc_prenorm(one, *multiplier++);
        *sums++ += one + two;
        *squares = driftc_narrow(driftc_wide(*squares) + (int64_t)one * one + (int64_t)two * two);
        squares++;
    }
}

/* The same for sums that need more than 32 bits. */
DRIFTC_SHARED void driftc_gather_wide(const int32_t *restrict sum, const int32_t *end, const int32_t *restrict multiplier,
                                      int8_t *restrict values, driftc_wide_t *restrict sums,
                                      driftc_wide_t *restrict squares)
{
    for (; sum < end; sum++, sums++, squares++) {
        const int32_t one = *sum;

        *values++ = driftc_prenorm(one, *multiplier++);
        *sums = driftc_narrow(driftc_wide(*sums) + one);
        *squares = driftc_narrow(driftc_wide(*squares) + (int64_t)one * one);
    }
}

DRIFTC_INLINE int32_t driftc_clamp_wide(int64_t value)
{
    const int32_t limit = 1 << 30;

    return value < -limit ? -limit : value > limit ? limit : (int32_t)value;
}

/* (M * value / 2^shift + O) / 2^17, rounded down, for values finer than int8; within +-2^30. */
DRIFTC_INLINE int32_t driftc_affine(int32_t multiplier, int32_t value, int shift, int32_t offset)
{
    return driftc_clamp_wide(((((int64_t)multiplier * value) >> shift) + offset) >> 17);
}

DRIFTC_INLINE int driftc_leading_zeros_fast(uint32_t x)
{
#if defined(__GNUC__)
    return __builtin_clz(x);
#else
    return driftc_leading_zeros(x);
#endif
}

/* log2(1 + i / 16) and 2^(i / 16), Q.24 */
static const int32_t driftc_log2_knots[17] = { 0, 1467383, 2850868, 4159533, 5401057, 6581994,
                                               7707984, 8783912, 9814042, 10802114, 11751428, 12664911,
                                               13545168, 14394532, 15215099, 16008758, 16777216 };
static const int32_t driftc_exp2_knots[17] = { 16777216, 17520007, 18295684, 19105703, 19951585, 20834917,
                                               21757357, 22720638, 23726566, 24777031, 25874004, 27019544,
                                               28215802, 29465022, 30769550, 32131834, 33554432 };

DRIFTC_INLINE uint32_t driftc_high(uint32_t a, uint32_t b)
{
    return (uint32_t)(((uint64_t)a * b) >> 32);
}

enum { DRIFTC_BEND = 1420 }; /* ln 2 / 2 in Q.12, and ln 2 / 32 in Q.16 */

/* log2(x) in Q.24 for 1 <= x < 2^63: the line between two knots, and a parabola that is 0 at both. */
static inline int32_t driftc_log2(uint64_t x)
{
    const uint32_t high = (uint32_t)(x >> 32);
    const int zeros = high != 0 ? driftc_leading_zeros_fast(high) : 32 + driftc_leading_zeros_fast((uint32_t)x);
    const uint32_t top = (uint32_t)((x << zeros) >> 32);
    const int32_t *knot = driftc_log2_knots + ((top >> 27) & 15);
    const uint32_t step = (uint32_t)(knot[1] - knot[0]);
    const uint32_t line = driftc_high(step, top << 5);
    const uint32_t bend = (driftc_high(line << 6, (step - line) << 6) * DRIFTC_BEND) >> 16;

    return (63 - zeros) * (1 << 24) + knot[0] + (int32_t)(line + bend);
}

/* 2^x in Q.16 for x in Q.20, by the like; at most 2^7. */
static inline int32_t driftc_exp2(int32_t x)
{
    const int32_t whole = x >> 20;
    const uint32_t part = (uint32_t)x << 16;
    const int32_t *knot = driftc_exp2_knots + ((x >> 16) & 15);
    const uint32_t line = driftc_high((uint32_t)(knot[1] - knot[0]), part);
    const uint32_t bend = (driftc_high(line, ~part) * DRIFTC_BEND) >> 16;
    const uint32_t mantissa = (uint32_t)knot[0] + line - bend;

    if (whole >= 7)
        return 1 << 23;
    return whole < -23 ? 0 : (int32_t)((mantissa + (1u << (7 - whole))) >> (8 - whole));
}

/* 1 / sqrt(i / 32) in Q.30, i from 8 */
static const uint32_t driftc_root_knots[25] = {
    2147483648u, 2024667000u, 1920767767u, 1831380208u, 1753413056u,
    1684624773u, 1623345051u, 1568300315u, 1518500250u, 1473161629u,
    1431655765u, 1393471397u, 1358187913u, 1325455684u, 1294981364u,
    1266516759u, 1239850262u, 1214800200u, 1191209601u, 1168942037u,
    1147878294u, 1127913670u, 1108955787u, 1090922784u, 1073741824u
};

/* level * 2^(30 - right) / sqrt(x), at most 2^23, rounded: the line between two knots, and one Newton step. */
static inline int32_t driftc_over_root(uint32_t x, int32_t level, int32_t right)
{
    const int zeros = driftc_leading_zeros_fast(x) & ~1;
    const uint32_t top = x << zeros;
    const uint32_t *knot = driftc_root_knots + ((top >> 27) - 8);
    const uint32_t line = knot[0] - driftc_high(knot[0] - knot[1], top << 5);
    const uint32_t over = driftc_high(driftc_high(line, line), top);
    const uint32_t root = driftc_high(line, ((3u << 28) - over) << 2);
    const uint32_t product = driftc_high((uint32_t)level << 17, root);
    const int32_t down = right - zeros / 2;
    const uint32_t most = 1u << 23;
    const uint32_t found = down < 5 ? most : (product + ((1u << down) >> 1)) >> down;

    return (int32_t)(found > most ? most : found);
}

/* Q - S^2 / n, rounded up: n times the variance. Nothing on the way exceeds Q's own bound, and |S| + n fits int32. */
DRIFTC_INLINE int64_t driftc_spread(int32_t sum, int64_t squares, int32_t pixels)
{
    const int32_t mean = sum / pixels;
    const int32_t rest = sum % pixels;

    return squares - (int64_t)mean * (sum + rest) - (int64_t)((uint32_t)(rest * rest) / (uint32_t)pixels);
}

/* The same for sums that need more than 32 bits. */
DRIFTC_INLINE int64_t driftc_spread_wide(int64_t sum, int64_t squares, int32_t pixels)
{
    const int64_t mean = sum / pixels;
    const int32_t rest = (int32_t)(sum % pixels);

    return squares - mean * (sum + rest) - (int64_t)((uint32_t)(rest * rest) / (uint32_t)pixels);
}

/* What a live layer knows of its source, read only. */
typedef struct {
    const int32_t *table; /* a row of DRIFTC_COLUMNS for each channel */
    int32_t channels;
    int32_t pixels;
    int32_t power; /* Q.24: what log2 is counted from */
    int shift;     /* of the gains */
} driftc_adapt_t;

/* level Q.20, decay Q.28: M = 2^(level - decay * (log2(spread + 2^floor) - power)) in Q.16, which is twice the real one;
 * floor are the lowest 6 bits of decay. base Q.17, centre Q.16, gain: O = base - M * (centre + gain * S / 2^shift). */
enum { DRIFTC_LEVEL, DRIFTC_DECAY, DRIFTC_BASE, DRIFTC_CENTRE, DRIFTC_GAIN, DRIFTC_COLUMNS };

/* M, Q.17; `less` is taken off its exponent, Q.20. */
DRIFTC_INLINE int32_t driftc_adapt_multiplier(const int32_t *row, int64_t spread, int32_t power, int32_t less)
{
    const int32_t above = driftc_log2((uint64_t)spread + ((uint64_t)1 << (row[DRIFTC_DECAY] & 63))) - power;

    return driftc_exp2(row[DRIFTC_LEVEL] - (int32_t)(((int64_t)row[DRIFTC_DECAY] * above) >> 32) - less);
}

/* What the mean is moved by, Q.16 */
DRIFTC_INLINE int64_t driftc_adapt_moved(const int32_t *row, int64_t sum, int shift)
{
    return (sum * row[DRIFTC_GAIN] + ((int64_t)1 << (shift - 1))) >> shift;
}

/* O, Q.17, of what moves the mean, Q.16 */
DRIFTC_INLINE int32_t driftc_adapt_offset(const int32_t *row, int32_t multiplier, int64_t moved)
{
    const int64_t all = row[DRIFTC_CENTRE] + moved;
    const int32_t mean = (int32_t)all == all ? (int32_t)all : (int32_t)(all >> 63) ^ INT32_MAX;

    return driftc_clamp_wide(row[DRIFTC_BASE] - (((int64_t)multiplier * mean) >> 16));
}

/* Multiplier and offset of every channel. Each output may lie where an input of its size does. */
static inline void driftc_adapt(const driftc_adapt_t *layer, const int32_t *sums, const driftc_wide_t *squares,
                                int32_t *multiplier, int32_t *offset)
{
    const int32_t *row = layer->table;

    for (int c = 0; c < layer->channels; c++, row += DRIFTC_COLUMNS) {
        const int32_t sum = sums[c];
        const int64_t spread = driftc_spread(sum, driftc_wide(squares[c]), layer->pixels);
        const int32_t found = driftc_adapt_multiplier(row, spread, layer->power, 0);

        multiplier[c] = found;
        offset[c] = driftc_adapt_offset(row, found, driftc_adapt_moved(row, sum, layer->shift));
    }
}

/* The same for sums that need more than 32 bits. */
static inline void driftc_adapt_wide(const driftc_adapt_t *layer, const driftc_wide_t *sums, const driftc_wide_t *squares,
                                     int32_t *multiplier, int32_t *offset)
{
    const int32_t *row = layer->table;

    for (int c = 0; c < layer->channels; c++, row += DRIFTC_COLUMNS) {
        const int64_t sum = driftc_wide(sums[c]);
        const int64_t spread = driftc_spread_wide(sum, driftc_wide(squares[c]), layer->pixels);
        const int32_t found = driftc_adapt_multiplier(row, spread, layer->power, 0);

        multiplier[c] = found;
        offset[c] = driftc_adapt_offset(row, found, driftc_adapt_moved(row, sum, layer->shift));
    }
}

/* What a live layer of the linear form knows of its source. */
typedef struct {
    const int16_t *table; /* a row of columns for each channel, those below */
    int32_t channels;
    int32_t pixels;
    int shift;      /* of the gains */
    int32_t belief; /* Q.14: what the variance is moved by */
} driftc_linear_t;

/* The linear form: not log2 of the variance is moved but the variance. shifts: 2^-lift of the spread is what it is
 * compared in, lift its lowest 6 bits; above them right. source, spread: of the source, with and without eps.
 * M = level * 2^(30 - right) / sqrt(variance). base Q.4, centre Q.8, gain as above. rest Q.8: what the mean of S = 0 is
 * moved too much. calm Q.7, in driftc_adapt_shrunk alone: what the mean is moved is this nearer to 0. */
enum {
    DRIFTC_LINEAR_SHIFTS,
    DRIFTC_LINEAR_SOURCE,
    DRIFTC_LINEAR_SPREAD,
    DRIFTC_LINEAR_LEVEL,
    DRIFTC_LINEAR_BASE,
    DRIFTC_LINEAR_CENTRE,
    DRIFTC_LINEAR_GAIN,
    DRIFTC_LINEAR_REST,
    DRIFTC_LINEAR_CALM
};

/* x, nearer to 0 by `calm`. */
DRIFTC_INLINE int32_t driftc_shrink(int32_t x, int32_t calm)
{
    return x > calm ? x - calm : x < -calm ? x + calm : 0;
}

/* The variance to normalise with, Q.8 of 2^lift. `factor` Q.30 is belief and trust, `calm` Q.12 of the source's. */
DRIFTC_INLINE uint32_t driftc_moved_variance(const int16_t *row, int64_t spread, int32_t factor, int32_t calm)
{
    const int32_t source = row[DRIFTC_LINEAR_SOURCE];
    const uint64_t lifted = (uint64_t)spread >> (row[DRIFTC_LINEAR_SHIFTS] & 63);
    const int32_t seen = lifted > 8388607 ? 8388607 : (int32_t)lifted;
    const int32_t away = driftc_shrink(seen - row[DRIFTC_LINEAR_SPREAD], (int32_t)((uint32_t)(calm * source) >> 12));

    return (uint32_t)(source * 256) + (uint32_t)(int32_t)(((int64_t)away * factor) >> 22);
}

/* O of one channel. Trust is Q.16, `calm` Q.12. Literals cost nothing. */
DRIFTC_INLINE int32_t driftc_moved_offset(const int16_t *row, int32_t multiplier, int64_t sum, int shift, int32_t trust,
                                          int32_t calm)
{
    const int32_t all = (int32_t)((sum * row[DRIFTC_LINEAR_GAIN]) >> shift);
    const int32_t moved = driftc_shrink(all - row[DRIFTC_LINEAR_REST] * 16, calm);
    const int32_t mean = row[DRIFTC_LINEAR_CENTRE] * 16 + (int32_t)(((int64_t)moved * trust) >> 16);

    return driftc_clamp_wide(row[DRIFTC_LINEAR_BASE] * 8192 - (((int64_t)multiplier * mean) >> 12));
}

DRIFTC_INLINE int32_t driftc_linear_multiplier(const int16_t *row, uint32_t variance)
{
    return driftc_over_root(variance, row[DRIFTC_LINEAR_LEVEL], row[DRIFTC_LINEAR_SHIFTS] >> 6);
}

/* Multiplier and offset of every channel, moved by `trust` (Q.16). */
DRIFTC_SHARED void driftc_adapt_trusted(const driftc_linear_t *layer, const int32_t *sums, const driftc_wide_t *squares,
                                        int32_t trust, int32_t *multiplier, int32_t *offset)
{
    const int16_t *row = layer->table;
    const int32_t factor = layer->belief * trust;

    for (int c = 0; c < layer->channels; c++, row += DRIFTC_LINEAR_CALM) {
        const int32_t sum = sums[c];
        const int64_t spread = driftc_spread(sum, driftc_wide(squares[c]), layer->pixels);
        const int32_t found = driftc_linear_multiplier(row, driftc_moved_variance(row, spread, factor, 0));

        multiplier[c] = found;
        offset[c] = driftc_moved_offset(row, found, sum, layer->shift, trust, 0);
    }
}

/* The same for sums that need more than 32 bits. */
DRIFTC_SHARED void driftc_adapt_trusted_wide(const driftc_linear_t *layer, const driftc_wide_t *sums, const driftc_wide_t *squares,
                                             int32_t trust, int32_t *multiplier, int32_t *offset)
{
    const int16_t *row = layer->table;
    const int32_t factor = layer->belief * trust;

    for (int c = 0; c < layer->channels; c++, row += DRIFTC_LINEAR_CALM) {
        const int64_t sum = driftc_wide(sums[c]);
        const int64_t spread = driftc_spread_wide(sum, driftc_wide(squares[c]), layer->pixels);
        const int32_t found = driftc_linear_multiplier(row, driftc_moved_variance(row, spread, factor, 0));

        multiplier[c] = found;
        offset[c] = driftc_moved_offset(row, found, sum, layer->shift, trust, 0);
    }
}

/* Multiplier and offset of every channel, moved by what lies beyond `calm` (Q.12, of the variance). */
DRIFTC_SHARED void driftc_adapt_shrunk(const driftc_linear_t *layer, const int32_t *sums, const driftc_wide_t *squares,
                                       int32_t calm, int32_t *multiplier, int32_t *offset)
{
    const int16_t *row = layer->table;
    const int32_t factor = layer->belief * 65536;

    for (int c = 0; c < layer->channels; c++, row += DRIFTC_LINEAR_CALM + 1) {
        const int32_t sum = sums[c];
        const int64_t spread = driftc_spread(sum, driftc_wide(squares[c]), layer->pixels);
        const int32_t found = driftc_linear_multiplier(row, driftc_moved_variance(row, spread, factor, calm));

        multiplier[c] = found;
        offset[c] = driftc_moved_offset(row, found, sum, layer->shift, 65536, row[DRIFTC_LINEAR_CALM] * 32);
    }
}

/* The same for sums that need more than 32 bits. */
DRIFTC_SHARED void driftc_adapt_shrunk_wide(const driftc_linear_t *layer, const driftc_wide_t *sums, const driftc_wide_t *squares,
                                            int32_t calm, int32_t *multiplier, int32_t *offset)
{
    const int16_t *row = layer->table;
    const int32_t factor = layer->belief * 65536;

    for (int c = 0; c < layer->channels; c++, row += DRIFTC_LINEAR_CALM + 1) {
        const int64_t sum = driftc_wide(sums[c]);
        const int64_t spread = driftc_spread_wide(sum, driftc_wide(squares[c]), layer->pixels);
        const int32_t found = driftc_linear_multiplier(row, driftc_moved_variance(row, spread, factor, calm));

        multiplier[c] = found;
        offset[c] = driftc_moved_offset(row, found, sum, layer->shift, 65536, row[DRIFTC_LINEAR_CALM] * 32);
    }
}

/* How a layer's means say how far the sample is to be trusted: rows of slope (Q.10 for each 2^shift of S), rest Q.10. */
typedef struct {
    const int16_t *table;
    int32_t channels;
    int shift;
    int32_t factor; /* of the distance, less 2^right: Q.20 of the power of two that is left */
    int right;
    int32_t rate; /* Q.14 */
} driftc_trust_t;

DRIFTC_INLINE int64_t driftc_away(const driftc_trust_t *layer, const int16_t *row, int64_t sum)
{
    const int32_t away = (int32_t)((sum * row[0]) >> layer->shift) - row[1];
    const int32_t near = away < -16384 ? -16384 : away > 16383 ? 16383 : away;

    return (int64_t)near * near;
}

/* The squared distance of the means from the source's, Q.20. */
DRIFTC_SHARED int64_t driftc_distance(const driftc_trust_t *layer, const int32_t *sums)
{
    int64_t distance = 0;

    for (int c = 0; c < layer->channels; c++)
        distance += driftc_away(layer, layer->table + 2 * c, sums[c]);
    return distance;
}

/* The same for sums that need more than 32 bits. */
DRIFTC_SHARED int64_t driftc_distance_wide(const driftc_trust_t *layer, const driftc_wide_t *sums)
{
    int64_t distance = 0;

    for (int c = 0; c < layer->channels; c++)
        distance += driftc_away(layer, layer->table + 2 * c, driftc_wide(sums[c]));
    return distance;
}

/* d = 1 - 2^-x, Q.16 */
DRIFTC_INLINE int32_t driftc_divergence(const driftc_trust_t *layer, int64_t distance)
{
    const int64_t x = (distance * layer->factor) >> layer->right;

    return 65536 - driftc_exp2(x > 32 << 20 ? -(32 << 20) : -(int32_t)x);
}

/* 1 - d^rate, Q.16 */
DRIFTC_SHARED int32_t driftc_trust_power(const driftc_trust_t *layer, int64_t distance)
{
    const int32_t d = driftc_divergence(layer, distance);

    if (d == 0)
        return 65536;
    return 65536 - driftc_exp2((int32_t)(((int64_t)layer->rate * (driftc_log2((uint32_t)d) - (16 << 24)) + (1 << 17)) >> 18));
}

/* 1 - rate * d, Q.16 */
DRIFTC_SHARED int32_t driftc_trust_product(const driftc_trust_t *layer, int64_t distance)
{
    return 65536 - ((layer->rate * driftc_divergence(layer, distance)) >> 14);
}

/* How the statistics of all channels together move a layer, H = relu(A z + a): z are the mean and the log2 variance of
 * each channel, less what the source's samples have and in their standard deviations, Q.8, within 8 of them. */
typedef struct {
    const int16_t *table; /* a row of DRIFTC_RANK_COLUMNS for each channel */
    const int8_t *down;   /* A [channels][rank][2]: of the mean, of the log variance */
    const int32_t *start; /* a [rank] */
    int32_t channels;
    int32_t pixels;
    int rank;
    int shift; /* of the slopes */
} driftc_rank_t;

/* floor: 2^floor is added to the spread. slope * S / 2^shift less rest, Q.6, is z of the mean; log_slope, Q.8, times
 * what log2 is above log_centre, Q.9, that of the log variance. */
enum {
    DRIFTC_RANK_FLOOR,
    DRIFTC_RANK_SLOPE,
    DRIFTC_RANK_REST,
    DRIFTC_RANK_LOG_CENTRE,
    DRIFTC_RANK_LOG_SLOPE,
    DRIFTC_RANK_COLUMNS
};

/* 8 standard deviations. */
DRIFTC_INLINE int32_t driftc_rank_near(int64_t z)
{
    return z < -2048 ? -2048 : z > 2048 ? 2048 : (int32_t)z;
}

/* Adds what one channel says. */
DRIFTC_INLINE void driftc_rank_add(const driftc_rank_t *layer, const int16_t *row, const int8_t *down, int64_t sum,
                                   int64_t spread, int32_t *hidden)
{
    const int64_t mean = ((sum * row[DRIFTC_RANK_SLOPE] + ((int64_t)1 << (layer->shift - 1))) >> layer->shift) - row[DRIFTC_RANK_REST] * 4;
    const int32_t above = driftc_log2((uint64_t)spread + ((uint64_t)1 << row[DRIFTC_RANK_FLOOR])) - row[DRIFTC_RANK_LOG_CENTRE] * 32768;
    const int32_t z0 = driftc_rank_near(mean);
    const int32_t z1 = driftc_rank_near(((int64_t)above * row[DRIFTC_RANK_LOG_SLOPE] + (1 << 23)) >> 24);

    for (int r = 0; r < layer->rank; r++, down += 2)
        hidden[r] += down[0] * z0 + down[1] * z1;
}

DRIFTC_INLINE void driftc_rank_start(const driftc_rank_t *layer, int32_t *hidden)
{
    for (int r = 0; r < layer->rank; r++)
        hidden[r] = layer->start[r];
}

DRIFTC_INLINE void driftc_rank_relu(const driftc_rank_t *layer, int32_t *hidden)
{
    for (int r = 0; r < layer->rank; r++)
        hidden[r] = hidden[r] < 0 ? 0 : hidden[r];
}

/* H of a layer. */
DRIFTC_SHARED void driftc_rank(const driftc_rank_t *layer, const int32_t *restrict sums, const driftc_wide_t *restrict squares,
                               int32_t *restrict hidden)
{
    const int16_t *row = layer->table;
    const int8_t *down = layer->down;

    driftc_rank_start(layer, hidden);
    for (int c = 0; c < layer->channels; c++, row += DRIFTC_RANK_COLUMNS, down += 2 * layer->rank)
        driftc_rank_add(layer, row, down, sums[c], driftc_spread(sums[c], driftc_wide(squares[c]), layer->pixels), hidden);
    driftc_rank_relu(layer, hidden);
}

/* The same for sums that need more than 32 bits. */
DRIFTC_SHARED void driftc_rank_wide(const driftc_rank_t *layer, const driftc_wide_t *restrict sums,
                                    const driftc_wide_t *restrict squares, int32_t *restrict hidden)
{
    const int16_t *row = layer->table;
    const int8_t *down = layer->down;

    driftc_rank_start(layer, hidden);
    for (int c = 0; c < layer->channels; c++, row += DRIFTC_RANK_COLUMNS, down += 2 * layer->rank) {
        const int64_t sum = driftc_wide(sums[c]);

        driftc_rank_add(layer, row, down, sum, driftc_spread_wide(sum, driftc_wide(squares[c]), layer->pixels), hidden);
    }
    driftc_rank_relu(layer, hidden);
}

/* What H moves the channels by: B H times a channel's rate, 2^-shift of it. */
typedef struct {
    const int8_t *up; /* B [channels][2][rank]: of the mean, of the exponent */
    int rank;
    int mean_shift;
    int log_shift;
} driftc_up_t;

/* Two columns more, behind the others. */
enum { DRIFTC_MEAN_RATE = DRIFTC_COLUMNS, DRIFTC_LOG_RATE, DRIFTC_RANKED_COLUMNS };

DRIFTC_INLINE int64_t driftc_raised(const int8_t *up, const int32_t *hidden, int rank, int rate, int shift)
{
    int64_t sum = 0;

    for (int r = 0; r < rank; r++)
        sum += (int64_t)hidden[r] * up[r];
    return (sum * rate + ((int64_t)1 << (shift - 1))) >> shift;
}

/* M and O of one channel, moved by H. They may lie over what is read here. */
DRIFTC_INLINE void driftc_adapt_one_ranked(const driftc_adapt_t *layer, const driftc_up_t *more, int c, int64_t sum,
                                           int64_t spread, const int32_t *hidden, int32_t *multiplier, int32_t *offset)
{
    const int32_t *row = layer->table + DRIFTC_RANKED_COLUMNS * c;
    const int8_t *up = more->up + 2 * more->rank * c;
    const int64_t mean = driftc_raised(up, hidden, more->rank, row[DRIFTC_MEAN_RATE], more->mean_shift);
    const int64_t less = driftc_raised(up + more->rank, hidden, more->rank, row[DRIFTC_LOG_RATE], more->log_shift);
    const int32_t found = driftc_adapt_multiplier(row, spread, layer->power, driftc_clamp_wide(less));

    multiplier[c] = found;
    offset[c] = driftc_adapt_offset(row, found, driftc_adapt_moved(row, sum, layer->shift) + mean);
}

/* Multiplier and offset of every channel, moved by H. */
DRIFTC_SHARED void driftc_adapt_ranked(const driftc_adapt_t *layer, const driftc_up_t *more, const int32_t *sums,
                                       const driftc_wide_t *squares, const int32_t *hidden, int32_t *multiplier,
                                       int32_t *offset)
{
    for (int c = 0; c < layer->channels; c++) {
        const int32_t sum = sums[c];
        const int64_t spread = driftc_spread(sum, driftc_wide(squares[c]), layer->pixels);

        driftc_adapt_one_ranked(layer, more, c, sum, spread, hidden, multiplier, offset);
    }
}

/* The same for sums that need more than 32 bits. */
DRIFTC_SHARED void driftc_adapt_ranked_wide(const driftc_adapt_t *layer, const driftc_up_t *more,
                                            const driftc_wide_t *sums, const driftc_wide_t *squares,
                                            const int32_t *hidden, int32_t *multiplier, int32_t *offset)
{
    for (int c = 0; c < layer->channels; c++) {
        const int64_t sum = driftc_wide(sums[c]);
        const int64_t spread = driftc_spread_wide(sum, driftc_wide(squares[c]), layer->pixels);

        driftc_adapt_one_ranked(layer, more, c, sum, spread, hidden, multiplier, offset);
    }
}

#endif
