/* A keyword spotter: samples of a microphone in, words out. On this machine they come from a recorded file on stdin.
 *
 * port.h of the compiled folder is all that it asks of a machine: port_read gives the next samples, as the driver of a
 * microphone would, 16 bits at 8 kHz; port_write takes a line of text. examples/spotter.py makes the model and the file.
 */
#include "driftc_logmel.h"
#include "kws.h"
#include "port.h"

enum { FRAMES = KWS_INPUT_LEN / DRIFTC_LOGMEL_BANDS };
enum { EVERY = 4 };      /* frames of 20 ms from inference to inference */
enum { AGREE = 3 };      /* inferences in a row that must find the same word */
enum { NOTHING = KWS_OUTPUT_LEN - 1 };

KWS_STATIC_MEMORY(memory);
static kws_t kws;
static driftc_logmel_t work;
static int16_t sound[DRIFTC_LOGMEL_FRAME];  /* the latest samples */
static int8_t spectrum[KWS_INPUT_LEN];      /* the latest frames, the oldest first */

static const char *const names[] = KWS_CLASS_NAMES;

/* A feature as the model takes it: its scale is a constant, so this is a multiplication. */
static int8_t quantized(int16_t feature)
{
    const int32_t multiplier = (int32_t)(65536.0f / (DRIFTC_LOGMEL_UNIT * KWS_INPUT_SCALE) + 0.5f);
    int32_t value = KWS_INPUT_ZERO + ((feature * multiplier + 32768) >> 16);

    return (int8_t)driftc_clamp(value, -128, 127);
}

/* The next 20 ms: the frame that they complete takes the place of the oldest. Nonzero: the recording is at its end. */
static int hear(void)
{
    int16_t features[DRIFTC_LOGMEL_BANDS];
    int8_t *newest = spectrum + KWS_INPUT_LEN - DRIFTC_LOGMEL_BANDS;

    memmove(sound, sound + DRIFTC_LOGMEL_HOP, (DRIFTC_LOGMEL_FRAME - DRIFTC_LOGMEL_HOP) * sizeof *sound);
    if (port_read(sound + DRIFTC_LOGMEL_FRAME - DRIFTC_LOGMEL_HOP, DRIFTC_LOGMEL_HOP * sizeof *sound) != 0)
        return 1;
    driftc_logmel(&work, sound, features);
    memmove(spectrum, spectrum + DRIFTC_LOGMEL_BANDS, (size_t)(newest - spectrum));
    for (int band = 0; band < DRIFTC_LOGMEL_BANDS; band++)
        newest[band] = quantized(features[band]);
    return 0;
}

static int decide(void)
{
    const int8_t *scores;
    int best = 0;

    memcpy(kws_input(&kws), spectrum, sizeof spectrum);
    scores = kws_invoke(&kws);
    for (int word = 1; word < KWS_OUTPUT_LEN; word++)
        if (scores[word] > scores[best])
            best = word;
    return best;
}

/* "1.24 s rise" */
static void tell(int frame, int word)
{
    int hundredths = (frame + 1) * DRIFTC_LOGMEL_HOP / 80;
    char line[64] = "";
    size_t length = 0, digits = 1;

    for (int unit = 1000; hundredths >= unit; unit *= 10)
        digits++;
    for (size_t at = digits; at-- > 0;) {
        int place = 100;

        for (size_t i = 0; i < at; i++)
            place *= 10;
        line[length++] = (char)('0' + hundredths / place % 10);
    }
    line[length++] = '.';
    line[length++] = (char)('0' + hundredths / 10 % 10);
    line[length++] = (char)('0' + hundredths % 10);
    memcpy(line + length, " s ", 3);
    length += 3;
    for (const char *name = names[word]; *name && length < sizeof line - 1; name++)
        line[length++] = *name;
    line[length++] = '\n';
    if (port_write(line, length) != 0)
        port_exit(1);
}

int main(void)
{
    int told = NOTHING, last = NOTHING, agreed = 0;

    if (port_open() != 0 || kws_init(&kws, &memory) != 0)
        port_exit(1);
    for (int frame = 0; hear() == 0; frame++) {
        int word;

        if (frame < FRAMES || frame % EVERY != 0)
            continue;
        word = decide();
        agreed = word == last ? agreed + 1 : 1;
        last = word;
        if (agreed >= AGREE && word != told) {
            told = word;
            if (word != NOTHING)
                tell(frame, word);
        }
    }
    port_exit(0);
}
