/* driftc_learn.h: the arithmetic of layers that are learnt on the device, as docs/arithmetic.md states it.
 *
 * Master weights are int32 with 16 bits below one step of the int8 weight, or int16 with 8; bias masters int32 with 4 bits below one step of
 * the accumulator. Probabilities and gradients are Q.15, logits in 1/256 octaves: 256 more double the exponential.
 */
#ifndef DRIFTC_LEARN_H
#define DRIFTC_LEARN_H

#include "driftc.h"

#define DRIFTC_LARGEST_MASTER (127 << 16)
#define DRIFTC_LARGEST_BIAS (1 << 26)
#define DRIFTC_ABSENT (-DRIFTC_LARGEST_BIAS) /* the bias of a class that is not there yet */

/* x / 2^shift, halves upwards; shift 1 to 30. */
DRIFTC_INLINE int32_t driftc_rounded(int32_t x, int shift)
{
    return ((x >> (shift - 1)) + 1) >> 1;
}

/* A sum as a logit: sum * scale / 2^shift, within +-2^24. */
DRIFTC_INLINE int32_t driftc_logit(int32_t sum, int32_t scale, int shift)
{
    const int64_t logit = ((int64_t)sum * scale) >> shift;

    return logit > 1 << 24 ? 1 << 24 : logit < -(1 << 24) ? -(1 << 24) : (int32_t)logit;
}

/* The first class with the largest logit. */
static inline int32_t driftc_decided(const int32_t *logit, int classes)
{
    int best = 0;

    for (int c = 1; c < classes; c++)
        if (logit[c] > logit[best])
            best = c;
    return best;
}

/* 2^(-away / 256) in Q.15; away 0 to 4096. */
static inline uint32_t driftc_halved(int32_t away)
{
    /* round(2^15 * 2^(-i / 256)) */
    static const uint16_t table[256] = {
        32768, 32679, 32591, 32503, 32415, 32327, 32240, 32153, 32066, 31979, 31893, 31806, 31720, 31635, 31549, 31464,
        31379, 31294, 31209, 31125, 31041, 30957, 30873, 30790, 30706, 30623, 30541, 30458, 30376, 30293, 30212, 30130,
        30048, 29967, 29886, 29805, 29725, 29644, 29564, 29484, 29405, 29325, 29246, 29167, 29088, 29009, 28931, 28852,
        28774, 28697, 28619, 28542, 28464, 28388, 28311, 28234, 28158, 28082, 28006, 27930, 27855, 27779, 27704, 27629,
        27554, 27480, 27406, 27332, 27258, 27184, 27110, 27037, 26964, 26891, 26818, 26746, 26674, 26601, 26530, 26458,
        26386, 26315, 26244, 26173, 26102, 26031, 25961, 25891, 25821, 25751, 25681, 25612, 25543, 25474, 25405, 25336,
        25268, 25199, 25131, 25063, 24995, 24928, 24860, 24793, 24726, 24659, 24593, 24526, 24460, 24394, 24328, 24262,
        24196, 24131, 24066, 24001, 23936, 23871, 23806, 23742, 23678, 23614, 23550, 23486, 23423, 23359, 23296, 23233,
        23170, 23108, 23045, 22983, 22921, 22859, 22797, 22735, 22674, 22613, 22552, 22491, 22430, 22369, 22309, 22248,
        22188, 22128, 22068, 22009, 21949, 21890, 21831, 21772, 21713, 21654, 21595, 21537, 21479, 21421, 21363, 21305,
        21247, 21190, 21133, 21076, 21019, 20962, 20905, 20849, 20792, 20736, 20680, 20624, 20568, 20513, 20457, 20402,
        20347, 20292, 20237, 20182, 20127, 20073, 20019, 19965, 19911, 19857, 19803, 19750, 19696, 19643, 19590, 19537,
        19484, 19431, 19379, 19326, 19274, 19222, 19170, 19118, 19066, 19015, 18963, 18912, 18861, 18810, 18759, 18708,
        18658, 18607, 18557, 18507, 18457, 18407, 18357, 18308, 18258, 18209, 18160, 18110, 18061, 18013, 17964, 17915,
        17867, 17819, 17770, 17722, 17674, 17627, 17579, 17531, 17484, 17437, 17390, 17343, 17296, 17249, 17202, 17156,
        17109, 17063, 17017, 16971, 16925, 16879, 16834, 16788, 16743, 16697, 16652, 16607, 16562, 16518, 16473, 16428
    };

    return (uint32_t)table[away & 255] >> (away >> 8);
}

/* Gradient of softmax and cross-entropy by the logits, Q.15: p - 1 at the label, p elsewhere; 0 where the label is -1. */
static inline void driftc_cross_entropy(const int32_t *logit, int classes, int32_t largest, int32_t label, int16_t *gradient)
{
    uint32_t sum = 0;

    for (int c = 0; c < classes; c++)
        sum += driftc_halved(driftc_clamp(logit[largest] - logit[c], 0, 4096));
    for (int c = 0; c < classes; c++) {
        const uint32_t power = driftc_halved(driftc_clamp(logit[largest] - logit[c], 0, 4096));
        const int32_t slope = (int32_t)((power << 15) / sum) - (c == label ? 1 << 15 : 0);

        gradient[c] = (int16_t)(label < 0 ? 0 : slope < 1 << 15 ? slope : (1 << 15) - 1);
    }
}

/* A bias master after a step against the gradient. */
DRIFTC_INLINE int32_t driftc_bias_step(int32_t master, int32_t gradient, int32_t rate, int shift)
{
    const int64_t moved = ((int64_t)gradient * rate + ((int64_t)1 << (shift - 1))) >> shift;
    const int64_t next = master - moved;

    return next > 1 << 30 ? 1 << 30 : next < -(1 << 30) ? -(1 << 30) : (int32_t)next;
}

/* The sum of a column of masters' weights, rows `length` apart, times `factor`. */
static inline int32_t driftc_column(const int32_t *master, const int32_t *factor, int rows, int length)
{
    int32_t sum = 0;

    for (int c = 0; c < rows; c++)
        sum += factor[c] * ((master[c * length] + 0x8000) >> 16);
    return sum;
}

/* The same of masters of int16. */
static inline int32_t driftc_column_narrow(const int16_t *master, const int32_t *factor, int rows, int length)
{
    int32_t sum = 0;

    for (int c = 0; c < rows; c++)
        sum += factor[c] * ((master[c * length] + 0x80) >> 8);
    return sum;
}

/* By how many bits a step is shifted down: 1 to 62. */
DRIFTC_INLINE int driftc_down(int shift, int32_t exponent)
{
    const int32_t down = shift - exponent;

    return down < 1 ? 1 : down > 62 ? 62 : (int)down;
}

/* A master after a step of sum * rate / 2^shift, halves upwards, within +-bound; shift 1 to 62. */
DRIFTC_INLINE int32_t driftc_learnt(int32_t master, int64_t sum, int32_t rate, int shift, int32_t bound)
{
    const int64_t next = master - ((sum * rate + ((int64_t)1 << (shift - 1))) >> shift);

    return next > bound ? bound : next < -bound ? -bound : (int32_t)next;
}

/* Where on the scale of 2^32 a master of int16 is rounded up: spread evenly over the elements of a tensor, and over steps. */
DRIFTC_INLINE uint32_t driftc_threshold(int32_t noise, int element)
{
    return (uint32_t)noise + (uint32_t)element * 0x9E3779B9u;
}

/* A master of int16 after a step of sum * rate / 2^(shift + 8), rounded up above `threshold`; within +-127 * 2^8. */
DRIFTC_INLINE int16_t driftc_learnt_narrow(int32_t master, int64_t sum, int32_t rate, int shift, uint32_t threshold)
{
    const int down = shift < 54 ? shift + 8 : 62;
    const int64_t up = down < 32 ? (int64_t)(threshold >> (32 - down)) : (int64_t)((uint64_t)threshold << (down - 32));
    const int64_t next = master - ((sum * rate + up) >> down);

    return (int16_t)(next > 127 << 8 ? 127 << 8 : next < -(127 << 8) ? -(127 << 8) : next);
}

/* An error, and what holds its value, which is `away` from what it was as compiled; within +-2^30. */
DRIFTC_INLINE int32_t driftc_holding(int32_t error, int32_t exponent, int32_t away, int32_t hold, int shift)
{
    const int64_t found = (int64_t)error * ((int64_t)1 << exponent) + (((int64_t)away * hold + ((int64_t)1 << (shift - 1))) >> shift);

    return found > 1 << 30 ? 1 << 30 : found < -(1 << 30) ? -(1 << 30) : (int32_t)found;
}

#endif
