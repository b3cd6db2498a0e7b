/* fleet.c: devices of a fleet, one after the other: each as what it left in its flash says, with what a server sends it
 * and the samples that it sees next. It knows the model through device.h alone.
 *
 * In:  int32 bytes of the key, int32 visits, the key; then for each visit
 *
 *   8 bytes                    the device
 *   int32 flags                KNOWN: what the device left behind follows; ROUND: it may send a round's samples again
 *   uint32 seed                of chance
 *   int32 packets, samples
 *   chooser, flash             with KNOWN, as it was written
 *   packets                    int32 bytes, and so many
 *   samples                    the bytes of the input
 *
 * Out: for each visit
 *
 *   packets                    uint32 reason, active sequence, highest sequence
 *   samples                    outputs, int32 wanted, int32 entropy; where it is wanted the input as it is to be sent
 *   chooser, flash             what the device leaves behind
 *
 * Numbers are in the machine's byte order; all supported machines are little-endian.
 */
#include "device.h"

#include "port.h"

#include <string.h>

enum { FAILED_OPEN = 2, FAILED_READ = 3, FAILED_WRITE = 4, FAILED_INIT = 5 };

enum { KNOWN = 1, ROUND = 2 };

enum { LONGEST_KEY = 1 << 16, PIECE = 100 };

#define ADD_BYTES(accessor, bytes) +(bytes)
#define INPUT_BYTES (0 MODEL_INPUTS(ADD_BYTES))

typedef struct {
    uint8_t device[DRIFTC_UPDATE_DEVICE_BYTES];
    int32_t flags;
    uint32_t seed;
    int32_t packets;
    int32_t samples;
} visit_t;

MODEL_STATIC_MEMORY(memory);
static model_t model;
static model_update_t update;
static model_upload_t upload;
static uint8_t key[LONGEST_KEY];
static uint8_t flash[2][MODEL_SLOT_BYTES];

static void get(void *data, size_t bytes)
{
    if (port_read(data, bytes) != 0)
        port_exit(FAILED_READ);
}

static void put(const void *data, size_t bytes)
{
    if (port_write(data, bytes) != 0)
        port_exit(FAILED_WRITE);
}

static int erase_slot(void *user, int slot)
{
    (void)user;
    memset(flash[slot], 0xFF, sizeof flash[slot]);
    return 0;
}

static int write_slot(void *user, int slot, uint32_t offset, const void *data, uint32_t bytes)
{
    (void)user;
    memcpy(flash[slot] + offset, data, bytes);
    return 0;
}

static int read_slot(void *user, int slot, uint32_t offset, void *data, uint32_t bytes)
{
    (void)user;
    memcpy(data, flash[slot] + offset, bytes);
    return 0;
}

static const driftc_slots_t slots = { erase_slot, write_slot, read_slot, NULL, MODEL_SLOT_BYTES };
static driftc_update_config_t config = { key, 0, NULL, NULL, { 0 }, &slots };

static void take_packet(void)
{
    uint8_t piece[PIECE];
    uint32_t said[3];
    int32_t bytes;
    int reason = DRIFTC_UPDATE_OK;

    get(&bytes, sizeof bytes);
    model_update_begin(&update);
    while (bytes > 0) {
        const size_t part = bytes < PIECE ? (size_t)bytes : PIECE;

        get(piece, part);
        if (reason == DRIFTC_UPDATE_OK)
            reason = model_update_feed(&update, piece, part);
        bytes -= (int32_t)part;
    }
    if (reason == DRIFTC_UPDATE_OK)
        reason = model_update_commit(&update);
    said[0] = (uint32_t)reason;
    said[1] = model_update_active(&update);
    said[2] = update.taken;
    put(said, sizeof said);
}

#define PUT_OUTPUT(accessor, bytes) put(accessor(&model), bytes);
#define GET_INPUT(accessor, bytes) get(accessor(&model), bytes);
#define COPY_INPUT(accessor, bytes) memcpy(copy, accessor(&model), bytes);

static void see_sample(void)
{
    int32_t said[2] = { 0, 0 };
#ifndef model_upload_input
    static uint8_t copy[INPUT_BYTES];
#endif

    MODEL_INPUTS(GET_INPUT)
#ifndef model_upload_input
    MODEL_INPUTS(COPY_INPUT)
#endif
    (void)model_invoke(&model);
    said[0] = model_upload_wanted(&upload);
#ifdef model_upload_entropy
    said[1] = model_upload_entropy(&upload);
#endif
    MODEL_OUTPUTS(PUT_OUTPUT)
    put(said, sizeof said);
    if (said[0])
#ifdef model_upload_input
        put(model_upload_input(&upload), INPUT_BYTES);
#else
        put(copy, INPUT_BYTES);
#endif
}

static void visit(void)
{
    visit_t about;

    get(&about, sizeof about);
    memcpy(config.device, about.device, sizeof config.device);
    if (model_init(&model, &memory) != 0)
        port_exit(FAILED_INIT);
    model_upload_init(&upload, &model, about.seed);
    memset(flash, 0xFF, sizeof flash);
    if (about.flags & KNOWN) {
        get(&upload.chooser, sizeof upload.chooser);
        get(flash, sizeof flash);
    }
    if (about.flags & ROUND)
        model_upload_round(&upload);
    if (model_update_init(&update, &model, &config) != DRIFTC_UPDATE_OK)
        port_exit(FAILED_INIT);
    for (int32_t i = 0; i < about.packets; i++)
        take_packet();
    for (int32_t i = 0; i < about.samples; i++)
        see_sample();
    put(&upload.chooser, sizeof upload.chooser);
    put(flash, sizeof flash);
}

int main(void)
{
    int32_t head[2];

    if (port_open() != 0)
        port_exit(FAILED_OPEN);
    get(head, sizeof head);
    if (head[0] < 0 || head[0] > LONGEST_KEY)
        port_exit(FAILED_READ);
    config.key_bytes = (size_t)head[0];
    get(key, config.key_bytes);
    for (int32_t i = 0; i < head[1]; i++)
        visit();
    port_exit(0);
}
