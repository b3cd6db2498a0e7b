/* driftc_updated.h: what NAME_update.h gives, and what an application tells it. */
#ifndef DRIFTC_UPDATED_H
#define DRIFTC_UPDATED_H

#include "driftc_slots.h"

#define DRIFTC_UPDATE_TAG_BYTES 32u
#define DRIFTC_UPDATE_DEVICE_BYTES 8u
#define DRIFTC_UPDATE_FORMAT 1u

/* Why a packet was not taken; nothing has changed then. Checked in this order, from LENGTH to BOUND. */
enum {
    DRIFTC_UPDATE_OK = 0,
    DRIFTC_UPDATE_LENGTH = 1,   /* not exactly the model's */
    DRIFTC_UPDATE_MAGIC = 2,    /* no packet */
    DRIFTC_UPDATE_UNKNOWN = 3,  /* another format, coding or flags */
    DRIFTC_UPDATE_MODEL = 4,    /* another model's */
    DRIFTC_UPDATE_DEVICE = 5,   /* another device's */
    DRIFTC_UPDATE_SEQUENCE = 6, /* not above the last one that was taken */
    DRIFTC_UPDATE_BASED_ON = 7, /* neither on what is active nor on what was compiled */
    DRIFTC_UPDATE_TAG = 8,      /* not signed with the key, or there is no key */
    DRIFTC_UPDATE_BOUND = 9,    /* a parameter out of bounds */
    DRIFTC_UPDATE_BUSY = 10,    /* an inference is under way: commit again after it */
    DRIFTC_UPDATE_STORAGE = 11, /* it could not be kept: the slots failed, or are too small */
    DRIFTC_UPDATE_NOT_BEGUN = 12 /* bytes, or a commit, without a beginning */
};

/* What a device knows of updates. It stays where it is as long as the model is used. */
typedef struct {
    const uint8_t *key; /* 16 bytes or more; NULL: `hmac` has it */
    size_t key_bytes;
    /* The platform's HMAC-SHA256 with the key, or NULL: that of driftc_sha256.h. 0, or nonzero where it failed. */
    int (*hmac)(void *user, const uint8_t *data, size_t bytes, uint8_t tag[DRIFTC_UPDATE_TAG_BYTES]);
    void *user; /* given to it */
    uint8_t device[DRIFTC_UPDATE_DEVICE_BYTES]; /* this one's; packets for all have zeros there */
    const driftc_slots_t *slots; /* where updates are kept; NULL: an update is gone when power is */
} driftc_update_config_t;

#endif
