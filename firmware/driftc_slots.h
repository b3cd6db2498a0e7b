/* driftc_slots.h: bytes kept in two places of non-volatile memory, so that one of them is whole whenever power is lost.
 *
 * A slot, numbers little endian:
 *
 *   0   4   "DRSL"
 *   4   4   sequence: one more than the other slot's
 *   8   4   length of what is kept
 *   12  4   CRC-32 (as zlib's) of bytes 0 to 11 and of what is kept
 *   16  16  0xFF
 *   32      what is kept, then 0xFF to a whole unit of 32 bytes
 *
 * The older slot, or one that is damaged, is erased and written: what is kept first, the header last. Until the header is
 * there the other slot stands. Nothing is ever written twice without erasing, and whole units only, at multiples of 32.
 */
#ifndef DRIFTC_SLOTS_H
#define DRIFTC_SLOTS_H

#include "driftc_state.h"

#define DRIFTC_SLOTS_UNIT 32u /* bytes; the largest that flash of microcontrollers is programmed by */
/* What a slot needs for so many bytes. */
#define DRIFTC_SLOTS_BYTES(kept) (DRIFTC_SLOTS_UNIT + ((kept) + DRIFTC_SLOTS_UNIT - 1u) / DRIFTC_SLOTS_UNIT * DRIFTC_SLOTS_UNIT)

/* How the two slots, 0 and 1, are reached; each lies in pages of its own. Each call gives 0, or nonzero where it failed: a
 * slot that cannot be read counts as damaged. */
typedef struct {
    int (*erase)(void *user, int slot); /* of all its bytes */
    int (*write)(void *user, int slot, uint32_t offset, const void *data, uint32_t bytes); /* erased bytes only */
    int (*read)(void *user, int slot, uint32_t offset, void *data, uint32_t bytes);
    void *user;
    uint32_t bytes; /* of a slot */
} driftc_slots_t;

enum {
    DRIFTC_SLOTS_OK = 0,
    DRIFTC_SLOTS_EMPTY = 1,  /* neither slot holds anything whole */
    DRIFTC_SLOTS_SIZE = 2,   /* more than a slot, or than the buffer, holds */
    DRIFTC_SLOTS_FAILED = 3  /* erasing, writing or reading failed; what was kept before is still there */
};

/* Reads what slot `slot` keeps into `buffer`, or into nothing where that is NULL. 1: it is whole. */
static inline int driftc_slots_check(const driftc_slots_t *slots, int slot, void *buffer, uint32_t *sequence, uint32_t *bytes)
{
    uint8_t header[16], some[DRIFTC_SLOTS_UNIT];
    uint32_t crc, length;

    if (slots->read(slots->user, slot, 0, header, sizeof header) != 0 || memcmp(header, "DRSL", 4) != 0)
        return 0;
    length = driftc_state_get(header + 8);
    if (slots->bytes < DRIFTC_SLOTS_UNIT || length > slots->bytes - DRIFTC_SLOTS_UNIT)
        return 0;
    if (buffer != NULL && length > *bytes)
        return 0;
    crc = driftc_state_crc(0xFFFFFFFFu, header, 12);
    for (uint32_t at = 0; at < length; at += DRIFTC_SLOTS_UNIT) {
        const uint32_t count = length - at < DRIFTC_SLOTS_UNIT ? length - at : DRIFTC_SLOTS_UNIT;

        if (slots->read(slots->user, slot, DRIFTC_SLOTS_UNIT + at, some, count) != 0)
            return 0;
        crc = driftc_state_crc(crc, some, count);
        if (buffer != NULL)
            memcpy((uint8_t *)buffer + at, some, count);
    }
    *sequence = driftc_state_get(header + 4);
    *bytes = length;
    return driftc_state_get(header + 12) == ~crc;
}

/* The slot that was written last of those that are whole, or -1. */
static inline int driftc_slots_newest(const driftc_slots_t *slots, uint32_t *sequence, uint32_t *bytes)
{
    uint32_t own[2] = { 0, 0 }, length[2] = { 0, 0 };
    const int first = driftc_slots_check(slots, 0, NULL, own, length);
    const int second = driftc_slots_check(slots, 1, NULL, own + 1, length + 1);
    int newest;

    if (!first && !second)
        return -1;
    /* The sequence may have come round. */
    newest = second && (!first || own[1] - own[0] < 0x80000000u) ? 1 : 0;
    *sequence = own[newest];
    *bytes = length[newest];
    return newest;
}

/* Keeps `bytes` bytes in the slot that is not the newest. DRIFTC_SLOTS_OK, or why they are not kept. */
static inline int driftc_slots_save(const driftc_slots_t *slots, const void *data, uint32_t bytes)
{
    uint8_t unit[DRIFTC_SLOTS_UNIT];
    uint32_t sequence = 0, found = 0;
    const uint32_t whole = bytes / DRIFTC_SLOTS_UNIT * DRIFTC_SLOTS_UNIT;
    const int newest = driftc_slots_newest(slots, &sequence, &found), slot = newest == 0 ? 1 : 0;

    if (slots->bytes < DRIFTC_SLOTS_UNIT || bytes > slots->bytes - DRIFTC_SLOTS_UNIT || slots->bytes % DRIFTC_SLOTS_UNIT != 0)
        return DRIFTC_SLOTS_SIZE;
    if (slots->erase(slots->user, slot) != 0)
        return DRIFTC_SLOTS_FAILED;
    if (whole > 0 && slots->write(slots->user, slot, DRIFTC_SLOTS_UNIT, data, whole) != 0)
        return DRIFTC_SLOTS_FAILED;
    memset(unit, 0xFF, sizeof unit);
    if (bytes > whole) {
        memcpy(unit, (const uint8_t *)data + whole, bytes - whole);
        if (slots->write(slots->user, slot, DRIFTC_SLOTS_UNIT + whole, unit, sizeof unit) != 0)
            return DRIFTC_SLOTS_FAILED;
        memset(unit, 0xFF, sizeof unit);
    }
    sequence = newest < 0 ? 1 : sequence + 1;
    memcpy(unit, "DRSL", 4);
    driftc_state_put(unit + 4, sequence);
    driftc_state_put(unit + 8, bytes);
    driftc_state_put(unit + 12, ~driftc_state_crc(driftc_state_crc(0xFFFFFFFFu, unit, 12), (const uint8_t *)data, bytes));
    if (slots->write(slots->user, slot, 0, unit, sizeof unit) != 0)
        return DRIFTC_SLOTS_FAILED;
    /* What the memory has now, whatever its driver said. */
    found = 0;
    return driftc_slots_check(slots, slot, NULL, &sequence, &found) ? DRIFTC_SLOTS_OK : DRIFTC_SLOTS_FAILED;
}

/* Reads what was kept last into `buffer` of `size` bytes; `bytes` gets how many. DRIFTC_SLOTS_OK, or why not; the buffer's
 * content is of no meaning then. */
static inline int driftc_slots_load(const driftc_slots_t *slots, void *buffer, uint32_t size, uint32_t *bytes)
{
    uint32_t sequence = 0, length = size;
    const int newest = driftc_slots_newest(slots, &sequence, bytes);

    if (newest < 0)
        return DRIFTC_SLOTS_EMPTY;
    if (*bytes > size)
        return DRIFTC_SLOTS_SIZE;
    return driftc_slots_check(slots, newest, buffer, &sequence, &length) ? DRIFTC_SLOTS_OK : DRIFTC_SLOTS_FAILED;
}

#endif
