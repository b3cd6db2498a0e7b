/* driftc_upload.h: how unsure a classifier is of a sample. docs/elastic.md says the same in words,
 * codegen/operators/upload/decision_entropy.py in Python.
 */
#ifndef DRIFTC_UPLOAD_H
#define DRIFTC_UPLOAD_H

#include "driftc.h"

/* log2 of 1 to 2^32 - 1, Q.12: the lines between 33 knots. */
static inline int32_t driftc_log2_q12(uint32_t x)
{
    static const uint16_t knots[33] = {
        0, 182, 358, 530, 696, 858, 1016, 1169, 1319, 1465, 1607, 1746, 1882, 2015, 2145, 2272, 2396,
        2518, 2637, 2754, 2869, 2982, 3092, 3200, 3307, 3412, 3514, 3615, 3715, 3812, 3908, 4003, 4096
    };
    const int zeros = driftc_leading_zeros(x);
    const uint32_t top = x << zeros, segment = top >> 26 & 31, part = top >> 10 & 0xFFFF;
    const uint32_t step = (uint32_t)knots[segment + 1] - knots[segment];

    return ((31 - zeros) << 12) + knots[segment] + (int32_t)((step * part + (1 << 15)) >> 16);
}

/* The entropy of the softmax of `logits`, bits in Q.12. `powers` are round(2^bits e^(-scale d)) of d = 0 to reach - 1,
 * those behind are 0, and their sum is at most 2^24; `factor` is scale / ln 2 in Q.16. */
static inline int32_t driftc_decision_entropy(const int8_t *logits, int classes, const int32_t *powers, int reach, int bits,
                                              uint32_t factor)
{
    int32_t largest = -128;
    uint32_t sum = 0, moment = 0, mean, rest;

    for (int c = 0; c < classes; c++)
        if (logits[c] > largest)
            largest = logits[c];
    for (int c = 0; c < classes; c++) {
        const int32_t away = largest - logits[c];

        if (away < reach) {
            const uint32_t power = (uint32_t)powers[away];

            sum += power;
            moment += power * (uint32_t)away;
        }
    }
    mean = moment / sum; /* and 16 bits of fraction, eight at a time */
    rest = (moment - mean * sum) << 8;
    for (int i = 0; i < 2; i++) {
        const uint32_t digit = rest / sum;

        mean = mean << 8 | digit;
        rest = (rest - digit * sum) << 8;
    }
    return driftc_log2_q12(sum) - bits * (1 << 12) + (int32_t)(((uint64_t)mean * factor) >> 20);
}

#endif
