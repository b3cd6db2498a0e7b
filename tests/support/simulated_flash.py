"""Two slots of flash in C, whose power can go at any byte."""

FLASH = """
#include "driftc_slots.h"

#include <stdio.h>
#include <stdlib.h>

/* Flash of two pages: erased units alone can be written; power lasts for `power` bytes, erased or written, and the byte
 * at which it goes is left as `torn` has it. */
static uint8_t flash[2][4096];
static long power, used;
static uint8_t torn;
static int rotten = -1; /* a slot that cannot be read */

static void set(int slot, uint32_t at, uint8_t value)
{
    if (power == 0)
        return;
    power--;
    used++;
    flash[slot][at] = power == 0 ? (uint8_t)(value ^ torn) : value;
}

static int erase(void *user, int slot)
{
    const driftc_slots_t *const slots = user;

    for (uint32_t i = 0; i < slots->bytes; i++)
        set(slot, i, 0xFF);
    return power == 0;
}

static int put(void *user, int slot, uint32_t offset, const void *data, uint32_t bytes)
{
    const driftc_slots_t *const slots = user;

    if (offset % DRIFTC_SLOTS_UNIT != 0 || bytes % DRIFTC_SLOTS_UNIT != 0 || offset + bytes > slots->bytes)
        abort();
    for (uint32_t i = 0; i < bytes; i++) {
        if (power > 0 && flash[slot][offset + i] != 0xFF)
            abort(); /* written twice */
        set(slot, offset + i, ((const uint8_t *)data)[i]);
    }
    return power == 0;
}

static int get(void *user, int slot, uint32_t offset, void *data, uint32_t bytes)
{
    const driftc_slots_t *const slots = user;

    if (offset + bytes > slots->bytes)
        abort();
    memcpy(data, flash[slot] + offset, bytes);
    return slot == rotten;
}

static driftc_slots_t slots = { erase, put, get, &slots, 4096 };
static const long forever = 1L << 40;
"""
