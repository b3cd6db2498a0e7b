/* driftc_update.h: takes what a server sends, a gain and an offset of each channel, checks it and applies it.
 *
 * The packet and its arithmetic are described in docs/elastic.md; codegen/elastic computes the same in Python. A packet
 * passes every check before anything is written; what does not pass leaves all as it was.
 */
#ifndef DRIFTC_UPDATE_H
#define DRIFTC_UPDATE_H

#include "driftc_sha256.h"
#include "driftc_updated.h"

#define DRIFTC_UPDATE_HEADER_BYTES 32u
#define DRIFTC_UPDATE_ID_BYTES 8u
#define DRIFTC_UPDATE_CODING 1u

struct driftc_updatable;

/* Writes the numbers of channel `c` where the layer's kernel reads them. */
typedef void (*driftc_put_t)(const struct driftc_updatable *layer, int8_t *parameters, int32_t c, int32_t multiplier,
                             int32_t shift, int32_t bias);

/* Applies the layer's part of a packet, `body`, or NULL: as it was compiled. 0 where it is out of bounds; nothing is
 * written where `parameters` is NULL, so that a first call checks. */
typedef int (*driftc_apply_t)(const struct driftc_updatable *layer, const uint8_t *body, int8_t *parameters);

/* A layer that can be updated, as it was compiled. */
typedef struct driftc_updatable {
    driftc_apply_t apply;   /* driftc_update_folded or driftc_update_live */
    int32_t bytes;          /* of its part */
    int32_t channels;
    int32_t largest;        /* of a raw bias */
    const int32_t *numbers; /* a channel: raw bias, what is added to it, multiplier, offset step; live: a row of its table */
    const uint8_t *shifts;  /* a channel; live: NULL */
    driftc_put_t put;       /* live: NULL */
    uint32_t scales;        /* where in the parameters they lie, in bytes */
    uint32_t right;
    uint32_t biases;
    int32_t columns;        /* live: of the table, that lies at `scales`; of the layout "pairs": what channels that fill no
                             * four are moved by */
} driftc_updatable_t;

/* A model's own, made when compiling. */
typedef struct {
    uint8_t id[DRIFTC_UPDATE_ID_BYTES];
    uint32_t bytes; /* of a packet */
    int32_t layers;
    const driftc_updatable_t *layer;
    uint32_t parameter_bytes;
} driftc_update_model_t;

static inline int32_t *driftc_words_at(int8_t *parameters, uint32_t offset)
{
    return (int32_t *)(void *)(parameters + offset);
}

/* --- how kernels read them --- */

static inline void driftc_put_plain(const driftc_updatable_t *layer, int8_t *parameters, int32_t c, int32_t multiplier,
                                    int32_t shift, int32_t bias)
{
    driftc_words_at(parameters, layer->scales)[c] = multiplier;
    driftc_words_at(parameters, layer->biases)[c] = bias;
    parameters[layer->right + (uint32_t)c] = (int8_t)shift;
}

/* Twice the bias and the multiplier; the shift, less one. */
static inline void driftc_put_pairs(const driftc_updatable_t *layer, int8_t *parameters, int32_t c, int32_t multiplier,
                                    int32_t shift, int32_t bias)
{
    const int32_t at = c < layer->channels / 4 * 4 ? c : c + layer->columns;
    int32_t *const scales = driftc_words_at(parameters, layer->scales) + 2 * at;

    scales[0] = bias * 2;
    scales[1] = multiplier;
    parameters[layer->right + (uint32_t)at] = (int8_t)(shift - 1);
}

/* Of four channels biases, multipliers, and left shifts in the bytes of a word. */
static inline void driftc_put_fours(const driftc_updatable_t *layer, int8_t *parameters, int32_t c, int32_t multiplier,
                                    int32_t shift, int32_t bias)
{
    int32_t *const lanes = driftc_words_at(parameters, layer->scales) + c / 4 * 9;

    lanes[c % 4] = bias;
    lanes[4 + c % 4] = multiplier;
    ((int8_t *)(lanes + 8))[c % 4] = (int8_t)-shift;
}

/* Of sixteen channels, as products come out: left shifts in the bytes of four words, biases and multipliers by fours. */
static inline void driftc_put_sixteens(const driftc_updatable_t *layer, int8_t *parameters, int32_t c, int32_t multiplier,
                                       int32_t shift, int32_t bias)
{
    int32_t *const lanes = driftc_words_at(parameters, layer->scales) + c / 16 * 36;
    const int32_t within = c % 16, at = (within & 1) * 8 + (within >> 1 & 1) * 4 + (within >> 2);
    int32_t *const four = lanes + 4 + at / 4 * 8;

    four[at % 4] = bias;
    four[4 + at % 4] = multiplier;
    ((int8_t *)lanes)[at] = (int8_t)-shift;
}

/* --- what an update makes of a layer --- */

/* round(2^30 * 2^(j / 16)) */
static const uint32_t driftc_sixteenths[16] = {
    1073741824u, 1121280436u, 1170923762u, 1222764986u, 1276901417u, 1333434672u, 1392470869u, 1454120821u,
    1518500250u, 1585730000u, 1655936265u, 1729250827u, 1805811301u, 1885761398u, 1969251188u, 2056437387u
};

DRIFTC_APART int driftc_update_folded(const driftc_updatable_t *layer, const uint8_t *body, int8_t *parameters)
{
    const int32_t exponent = body == NULL ? 0 : (int8_t)body[0], octave = body == NULL ? 4 : body[1];

    if (exponent < -8 || exponent > 7 || octave > 4)
        return 0;
    for (int32_t c = 0; c < layer->channels; c++) {
        const int32_t *const number = layer->numbers + 4 * c;
        const int32_t code = body == NULL ? 0 : (int8_t)body[2 + c];
        const int32_t offset = body == NULL ? 0 : (int8_t)body[2 + layer->channels + c];
        const int32_t gain = code * (1 << (4 - octave));
        const int32_t whole = gain >> 4, part = gain & 15;
        const int64_t product = (int64_t)number[2] * driftc_sixteenths[part];
        const int over = product >= ((int64_t)1 << 61) - ((int64_t)1 << 29);
        const int32_t multiplier = (int32_t)((product + ((int64_t)1 << (29 + over))) >> (30 + over));
        const int32_t shift = layer->shifts[c] - whole - over;
        const int right = 30 + (int)whole + (part > 0);
        int64_t moved = (int64_t)offset * number[3];
        int64_t raw;

        if (shift < 1 || shift > 23)
            return 0;
        if (exponent < 0)
            moved = (moved + ((int64_t)1 << (-exponent - 1))) >> -exponent;
        else
            moved *= (int64_t)1 << exponent;
        raw = number[0] + moved;
        if (raw < -INT32_MAX || raw > INT32_MAX)
            return 0;
        raw = (raw * driftc_sixteenths[-part & 15] + ((int64_t)1 << (right - 1))) >> right;
        if (raw < -layer->largest || raw > layer->largest)
            return 0;
        if (parameters != NULL)
            layer->put(layer, parameters, c, multiplier, shift, (int32_t)raw + number[1]);
    }
    return 1;
}

enum { DRIFTC_UPDATE_LEVEL = 0, DRIFTC_UPDATE_BASE = 2, DRIFTC_UPDATE_CENTRE = 3 }; /* columns */

/* The same for a layer that is normalised live. */
DRIFTC_APART int driftc_update_live(const driftc_updatable_t *layer, const uint8_t *body, int8_t *parameters)
{
    static const uint8_t column[3] = { DRIFTC_UPDATE_LEVEL, DRIFTC_UPDATE_BASE, DRIFTC_UPDATE_CENTRE };
    uint8_t shifts[3] = { 16, 0, 0 };

    if (body != NULL) {
        if (body[1] > 4 || body[0] > 23 || body[2] > 23)
            return 0;
        shifts[0] = (uint8_t)(20 - body[1]);
        shifts[1] = body[0];
        shifts[2] = body[2];
    }
    for (int32_t c = 0; c < layer->channels; c++) {
        const int32_t *const row = layer->numbers + layer->columns * c;
        int32_t *const to = parameters == NULL ? NULL : driftc_words_at(parameters, layer->scales) + layer->columns * c;

        if (to != NULL)
            memcpy(to, row, (size_t)layer->columns * sizeof *to);
        for (int i = 0; i < 3; i++) {
            const int64_t code = body == NULL ? 0 : (int8_t)body[3 + i * layer->channels + c];
            const int64_t value = row[column[i]] + code * ((int64_t)1 << shifts[i]);
            const int64_t most = i == 0 ? (1 << 29) - 1 : INT32_MAX;

            if (value < -most || value > most)
                return 0;
            if (to != NULL)
                to[column[i]] = (int32_t)value;
        }
    }
    return 1;
}

/* All layers; `body` as above. */
DRIFTC_APART int driftc_update_layers(const driftc_update_model_t *model, const uint8_t *body, int8_t *parameters)
{
    for (int32_t i = 0; i < model->layers; i++) {
        const driftc_updatable_t *const layer = model->layer + i;

        if (!layer->apply(layer, body, parameters))
            return 0;
        if (body != NULL)
            body += layer->bytes;
    }
    return 1;
}

/* As compiled. */
DRIFTC_APART void driftc_update_factory(const driftc_update_model_t *model, int8_t *parameters)
{
    memset(parameters, 0, model->parameter_bytes);
    (void)driftc_update_layers(model, NULL, parameters);
}

/* --- the packet --- */

DRIFTC_APART int driftc_update_tag(const driftc_update_model_t *model, const driftc_update_config_t *config, const uint8_t *packet)
{
    const size_t bytes = model->bytes - DRIFTC_UPDATE_TAG_BYTES;
    uint8_t tag[DRIFTC_UPDATE_TAG_BYTES];

    if (config->hmac != NULL) {
        if (config->hmac(config->user, packet, bytes, tag) != 0)
            return 0;
    } else if (config->key != NULL && config->key_bytes >= 16) {
        driftc_hmac_sha256(config->key, config->key_bytes, packet, bytes, tag);
    } else {
        return 0;
    }
    return driftc_same(tag, packet + bytes, sizeof tag);
}

/* Whom a packet is for, and whether it is whole, but for its sequence and what it is based on. */
DRIFTC_APART int driftc_update_address(const driftc_update_model_t *model, const driftc_update_config_t *config,
                                        const uint8_t *packet, uint32_t bytes)
{
    static const uint8_t all[DRIFTC_UPDATE_DEVICE_BYTES] = { 0 };

    if (bytes != model->bytes)
        return DRIFTC_UPDATE_LENGTH;
    if (memcmp(packet, "DRFU", 4) != 0)
        return DRIFTC_UPDATE_MAGIC;
    if (packet[4] != DRIFTC_UPDATE_FORMAT || packet[5] != DRIFTC_UPDATE_CODING || packet[6] != 0 || packet[7] != 0)
        return DRIFTC_UPDATE_UNKNOWN;
    if (memcmp(packet + 8, model->id, DRIFTC_UPDATE_ID_BYTES) != 0)
        return DRIFTC_UPDATE_MODEL;
    if (memcmp(packet + 24, config->device, sizeof all) != 0 && memcmp(packet + 24, all, sizeof all) != 0)
        return DRIFTC_UPDATE_DEVICE;
    return DRIFTC_UPDATE_OK;
}

/* Whether it is signed, and every parameter within bounds. */
DRIFTC_APART int driftc_update_content(const driftc_update_model_t *model, const driftc_update_config_t *config, const uint8_t *packet)
{
    if (!driftc_update_tag(model, config, packet))
        return DRIFTC_UPDATE_TAG;
    return driftc_update_layers(model, packet + DRIFTC_UPDATE_HEADER_BYTES, NULL) ? DRIFTC_UPDATE_OK : DRIFTC_UPDATE_BOUND;
}

static inline uint32_t driftc_update_sequence(const uint8_t *packet)
{
    return driftc_state_get(packet + 16);
}

/* Every check, in order. `taken`: the highest sequence that was; `active`: that of the parameters in use, or 0. */
DRIFTC_APART int driftc_update_check(const driftc_update_model_t *model, const driftc_update_config_t *config,
                                      const uint8_t *packet, uint32_t bytes, uint32_t taken, uint32_t active)
{
    const int refused = driftc_update_address(model, config, packet, bytes);
    uint32_t based_on;

    if (refused != DRIFTC_UPDATE_OK)
        return refused;
    based_on = driftc_state_get(packet + 20);
    if (driftc_update_sequence(packet) <= taken)
        return DRIFTC_UPDATE_SEQUENCE;
    if (based_on != active && based_on != 0)
        return DRIFTC_UPDATE_BASED_ON;
    return driftc_update_content(model, config, packet);
}

#endif
