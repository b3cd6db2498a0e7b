/* mlperf_stream.h: the streaming part of sww01, which mlperf.c includes: `start`, 512 samples of sound at a time with `db load
 * 1024` and `extract_uart_stream`, `stop`. The commands and their answers are those of mlcommons' reference firmware; there
 * the sound comes over I2S, and `extract_uart_stream` is its way without.
 */
#include "mlperf_sound.h"

#define STREAM_BYTES (2 * SOUND_HOP)

_Static_assert(MODEL_INPUT_LEN % SOUND_BANDS == 0, "the input must be rows of features");
_Static_assert(STREAM_BYTES <= LOADED_BYTES, "a piece of sound must fit where db puts it");

enum { KEPT = 4096, VALUES_PER_LINE = 16 }; /* 131 seconds of activations */

static int8_t stream_patch[MODEL_INPUT_LEN]; /* the last rows of features */
static int8_t stream_activations[KEPT];
static uint32_t stream_kept;
static int streaming;

/* As printf's %+3d. */
static void say_signed(int32_t value)
{
    if (value > -10 && value < 10)
        say(" ");
    say(value < 0 ? "-" : "+");
    say_number((uint64_t)(value < 0 ? -value : value));
}

static void stream_begin(void)
{
    memset(stream_patch, 0, sizeof stream_patch); /* as the reference does: silence would be MODEL_INPUT_ZERO */
    sound_start();
    stream_kept = 0;
}

static void on_start(void)
{
    if (streaming) {
        say("Detection is in progress. Ignoring request\r\n");
        return;
    }
    stream_begin();
    streaming = 1;
    say("Listening for sound with extract_uart_stream\r\n");
    timestamp();
}

static void on_stop(void)
{
    if (!streaming) {
        say("Detection is already idle. Ignoring stop request\r\n");
        return;
    }
    streaming = 0;
    timestamp();
    say("Streaming stopped.\r\ntarget activations: \r\n[");
    for (uint32_t i = 0; i < stream_kept; i++) {
        if (stream_activations[i] < 0)
            say("-");
        say_number((uint64_t)(stream_activations[i] < 0 ? -stream_activations[i] : stream_activations[i]));
        say(i + 1 == stream_kept ? " " : ", ");
        if ((i + 1) % VALUES_PER_LINE == 0 || i + 1 == stream_kept)
            say("\r\n");
    }
    say("]\r\n");
}

static void on_sound(void)
{
    int8_t *row = stream_patch + MODEL_INPUT_LEN - SOUND_BANDS;
    static int16_t samples[SOUND_HOP];

    if (expected != STREAM_BYTES || arrived != expected) {
        say("e-[extract_uart_stream needs 'db load 1024', and as many bytes]\r\n");
        return;
    }
    for (uint32_t i = 0; i < SOUND_HOP; i++)
        samples[i] = (int16_t)(uint16_t)(loaded.bytes[2 * i] | loaded.bytes[2 * i + 1] << 8);
    memmove(stream_patch, stream_patch + SOUND_BANDS, MODEL_INPUT_LEN - SOUND_BANDS);
    sound_features(samples, row);
    memcpy(MODEL_INPUT(&model), stream_patch, sizeof stream_patch);
    (void)model_invoke(&model);
    if (stream_kept < KEPT)
        stream_activations[stream_kept++] = (int8_t)MODEL_OUTPUT(&model)[0];
    say("m-features-[");
    for (uint32_t i = 0; i < SOUND_BANDS; i++) {
        say_signed(row[i]);
        say(i + 1 < SOUND_BANDS ? ", " : "]\r\n");
    }
    say("m-activations-[");
    for (int32_t i = 0; i < MODEL_OUTPUT_LEN; i++) {
        say_signed(MODEL_OUTPUT(&model)[i]);
        say(i + 1 < MODEL_OUTPUT_LEN ? ", " : "]\r\n");
    }
}

/* Whether `what` is one of this part's commands, which it then obeys. */
static int stream_obeys(const char *what)
{
    if (same(what, "start"))
        on_start();
    else if (same(what, "stop"))
        on_stop();
    else if (same(what, "extract_uart_stream"))
        on_sound();
    else
        return 0;
    return 1;
}
