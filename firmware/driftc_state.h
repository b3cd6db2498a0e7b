/* driftc_state.h: the state of a model as bytes that can be kept elsewhere and taken back.
 *
 * A saved state, numbers little endian:
 *
 *   0   4   "DRFS"
 *   4   4   format, 1
 *   8   8   which model, and which layout of its state
 *   16  4   length of what follows the header
 *   20  4   CRC-32 (as zlib's) of bytes 0 to 19 and of what follows the header
 *   24      the state as it lies in RAM
 */
#ifndef DRIFTC_STATE_H
#define DRIFTC_STATE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DRIFTC_STATE_HEADER_BYTES 24
#define DRIFTC_STATE_ID_BYTES 8
#define DRIFTC_STATE_FORMAT 1u

/* Why a state was not saved or loaded; nothing was written then. */
enum {
    DRIFTC_STATE_OK = 0,
    DRIFTC_STATE_SIZE = 1,   /* the buffer is smaller than NAME_SAVED_STATE_BYTES */
    DRIFTC_STATE_MAGIC = 2,  /* not a saved state */
    DRIFTC_STATE_FORMAT_UNKNOWN = 3, /* of another version of this format */
    DRIFTC_STATE_MODEL = 4,  /* of another model */
    DRIFTC_STATE_LENGTH = 5, /* its length is not the model's */
    DRIFTC_STATE_CRC = 6,    /* damaged */
    DRIFTC_STATE_BUSY = 7    /* an inference is under way: only between two of them */
};

/* CRC-32 of `bytes` more bytes, four bits at a time; begins and ends with ~crc. */
static inline uint32_t driftc_state_crc(uint32_t crc, const uint8_t *data, size_t bytes)
{
    static const uint32_t table[16] = {
        0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u, 0x4DB26158u, 0x5005713Cu,
        0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu, 0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu
    };

    for (; bytes > 0; bytes--) {
        crc ^= *data++;
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return crc;
}

static inline uint32_t driftc_state_sum(const uint8_t *header, const void *state, uint32_t bytes)
{
    return ~driftc_state_crc(driftc_state_crc(0xFFFFFFFFu, header, 20), (const uint8_t *)state, bytes);
}

static inline void driftc_state_put(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static inline uint32_t driftc_state_get(const uint8_t *from)
{
    return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static inline int driftc_state_save(const void *state, uint32_t bytes, const uint8_t *id, void *buffer, size_t size)
{
    uint8_t *header = (uint8_t *)buffer;

    if (size < DRIFTC_STATE_HEADER_BYTES || size - DRIFTC_STATE_HEADER_BYTES < bytes)
        return DRIFTC_STATE_SIZE;
    memcpy(header, "DRFS", 4);
    driftc_state_put(header + 4, DRIFTC_STATE_FORMAT);
    memcpy(header + 8, id, DRIFTC_STATE_ID_BYTES);
    driftc_state_put(header + 16, bytes);
    driftc_state_put(header + 20, driftc_state_sum(header, state, bytes));
    memcpy(header + DRIFTC_STATE_HEADER_BYTES, state, bytes);
    return DRIFTC_STATE_OK;
}

static inline int driftc_state_load(void *state, uint32_t bytes, const uint8_t *id, const void *buffer, size_t size)
{
    const uint8_t *header = (const uint8_t *)buffer;

    if (size < DRIFTC_STATE_HEADER_BYTES)
        return DRIFTC_STATE_SIZE;
    if (memcmp(header, "DRFS", 4) != 0)
        return DRIFTC_STATE_MAGIC;
    if (driftc_state_get(header + 4) != DRIFTC_STATE_FORMAT)
        return DRIFTC_STATE_FORMAT_UNKNOWN;
    if (memcmp(header + 8, id, DRIFTC_STATE_ID_BYTES) != 0)
        return DRIFTC_STATE_MODEL;
    if (driftc_state_get(header + 16) != bytes)
        return DRIFTC_STATE_LENGTH;
    if (size - DRIFTC_STATE_HEADER_BYTES < bytes)
        return DRIFTC_STATE_SIZE;
    if (driftc_state_get(header + 20) != driftc_state_sum(header, header + DRIFTC_STATE_HEADER_BYTES, bytes))
        return DRIFTC_STATE_CRC;
    memcpy(state, header + DRIFTC_STATE_HEADER_BYTES, bytes);
    return DRIFTC_STATE_OK;
}

#endif
