/* mlperf_sound.h: log-mel features of sound at 16 kHz, 512 samples at a time, for the streaming wake word.
 *
 * simulator/mlperf/sound.py is the specification, to the bit, and makes MLPERF_TABLES, the file with the tables.
 */
#ifndef MLPERF_SOUND_H
#define MLPERF_SOUND_H

#include <stdint.h>
#include <string.h>

#include MLPERF_TABLES

#define SOUND_FRAME 1024
#define SOUND_HOP 512
#define SOUND_BANDS 40
#define SOUND_LOG2_FRAME 10

/* From a band's logarithm to the model's input: constants, which the compiler computes. 10 log10(2) is a bit in decibels. */
#define SOUND_DECIBELS 3.010299956639812
#define SOUND_UNIT 46.0 /* bits, by which a sum is too large */
#define SOUND_SLOPE ((int64_t)(SOUND_DECIBELS / 64.0 / (double)MODEL_INPUT_SCALE * 65536.0))
#define SOUND_OFFSET \
    ((int64_t)(((52.0 - SOUND_UNIT * SOUND_DECIBELS) / 64.0 / (double)MODEL_INPUT_SCALE + MODEL_INPUT_ZERO) * 4294967296.0))

static int16_t sound_heard[SOUND_FRAME + 1]; /* the last samples, and the one before them */
static int32_t sound_re[SOUND_FRAME], sound_im[SOUND_FRAME];

static void sound_start(void)
{
    memset(sound_heard, 0, sizeof sound_heard);
}

/* Pre-emphasis and window, in the order that the transform wants. */
static void sound_frame(void)
{
    for (uint32_t n = 0; n < SOUND_FRAME; n++) {
        int32_t emphasised = sound_heard[n + 1] * 32 - sound_heard[n] * 31;
        uint32_t to = 0;

        for (uint32_t bit = 0; bit < SOUND_LOG2_FRAME; bit++)
            to |= (n >> bit & 1u) << (SOUND_LOG2_FRAME - 1 - bit);
        sound_re[to] = (int32_t)(((int64_t)emphasised * sound_window[n] + (1 << 14)) >> 15);
        sound_im[to] = 0;
    }
}

/* Radix 2, decimation in time. The window leaves 30 bits of the largest sum, so that nothing is scaled. */
static void sound_transform(void)
{
    for (uint32_t half = 1; half < SOUND_FRAME; half *= 2) {
        for (uint32_t n = 0; n < half; n++) {
            int64_t c = sound_cosines[n * (SOUND_FRAME / 2 / half)];
            int64_t s = sound_sines[n * (SOUND_FRAME / 2 / half)];

            for (uint32_t a = n; a < SOUND_FRAME; a += 2 * half) {
                uint32_t b = a + half;
                int32_t x = (int32_t)((sound_re[b] * c + sound_im[b] * s + (1 << 29)) >> 30);
                int32_t y = (int32_t)((sound_im[b] * c - sound_re[b] * s + (1 << 29)) >> 30);

                sound_re[b] = sound_re[a] - x;
                sound_im[b] = sound_im[a] - y;
                sound_re[a] += x;
                sound_im[a] += y;
            }
        }
    }
}

/* 16 bits of fraction; linear between the entries of the table. */
static int32_t sound_log2(uint64_t value)
{
    int32_t exponent = 0, at, rest;

    for (uint64_t left = value; left > 1; left >>= 1)
        exponent++;
    at = (int32_t)((exponent >= 16 ? value >> (exponent - 16) : value << (16 - exponent)) & 0xFFFFu);
    rest = at & 0x7FF;
    at >>= 11;
    return (exponent << 16) + sound_logarithms[at] + ((sound_logarithms[at + 1] - sound_logarithms[at]) * rest >> 11);
}

static int8_t sound_quantised(uint64_t energy)
{
    int64_t value = sound_log2(energy > 0 ? energy : 1) * SOUND_SLOPE + SOUND_OFFSET;
    int64_t whole = value / (INT64_C(1) << 32); /* towards zero */

    return (int8_t)(whole < MODEL_INPUT_ZERO ? MODEL_INPUT_ZERO : whole > 127 ? 127 : whole);
}

/* The bands of the frame that ends with SOUND_HOP more samples. */
static void sound_features(const int16_t *samples, int8_t *bands)
{
    const uint16_t *weight = sound_weights;

    memmove(sound_heard, sound_heard + SOUND_HOP, (SOUND_FRAME + 1 - SOUND_HOP) * sizeof *sound_heard);
    memcpy(sound_heard + SOUND_FRAME + 1 - SOUND_HOP, samples, SOUND_HOP * sizeof *samples);
    sound_frame();
    sound_transform();
    for (uint32_t band = 0; band < SOUND_BANDS; band++) {
        uint64_t energy = 0;

        for (uint32_t n = sound_starts[band]; n < (uint32_t)sound_starts[band] + sound_lengths[band]; n++) {
            int64_t re = sound_re[n], im = sound_im[n];

            energy += ((uint64_t)(re * re + im * im) >> 16) * *weight++;
        }
        bands[band] = sound_quantised(energy);
    }
}

#endif
