/* driftc_chooser.h: whether a sample is worth sending to a server, by how unsure the network is of it, or by chance.
 *
 * docs/elastic.md says the same in words, codegen/elastic/upload.py in Python.
 */
#ifndef DRIFTC_CHOOSER_H
#define DRIFTC_CHOOSER_H

#include <stdint.h>

#define DRIFTC_UPLOAD_SEEN 128 /* samples whose mean is what the threshold falls from */

/* What is known of the samples so far. */
typedef struct {
    int32_t count;   /* of them, up to DRIFTC_UPLOAD_SEEN */
    int32_t start;   /* mean of those, Q.20 */
    int32_t mean;    /* running, Q.20; while they are counted their sum, Q.12 */
    uint32_t tokens; /* samples that may still be sent in this round */
    uint32_t random;
} driftc_chooser_t;

/* xorshift32: true for a share of 2^16. */
static inline int driftc_upload_drawn(driftc_chooser_t *chooser, uint32_t chance)
{
    uint32_t x = chooser->random;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    chooser->random = x;
    return x >> 16 < chance;
}

/* Entropy between `least` and `most`, which falls as the running mean does. */
static inline int driftc_upload_unsure(driftc_chooser_t *chooser, int32_t entropy, int32_t least, int32_t most)
{
    const int known = chooser->count == DRIFTC_UPLOAD_SEEN;

    if (known) {
        chooser->mean += (entropy * 256 - chooser->mean) >> 7;
    } else {
        chooser->mean += entropy;
        if (++chooser->count == DRIFTC_UPLOAD_SEEN)
            chooser->start = chooser->mean *= 2;
    }
    if (entropy <= least || entropy >= most)
        return 0;
    return !known || (int64_t)entropy * chooser->start < (int64_t)most * chooser->mean;
}

/* A sample that is interesting is wanted while tokens are left. */
static inline int driftc_upload_take(driftc_chooser_t *chooser, int interesting)
{
    if (!interesting || chooser->tokens == 0)
        return 0;
    chooser->tokens--;
    return 1;
}

#endif
