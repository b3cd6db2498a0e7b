/* A classifier of motion: an accelerometer's samples in, what its wearer does out, whenever that changes.
 *
 * port.h of the compiled folder is all that it asks of a machine: port_read gives the next sample, as the driver of the
 * sensor would, x, y and z in thousandths of g, 50 times a second; port_write takes a line of text. examples/motion.py makes
 * the model and a recording.
 */
#include "motion.h"
#include "port.h"

#include <string.h>

enum { AXES = 3, STEPS = MOTION_INPUT_LEN / AXES };
enum { EVERY = STEPS / 2 }; /* samples from inference to inference: 1.28 s */
enum { AGREE = 2 };         /* inferences in a row that must say the same */

MOTION_STATIC_MEMORY(memory);
static motion_t motion;
static int8_t window[MOTION_INPUT_LEN]; /* the latest samples, the oldest first */

static const char *const names[] = MOTION_CLASS_NAMES;

/* As the model takes it: its scale is a constant, so this is a multiplication. */
static int8_t quantized(int16_t thousandths)
{
    const int32_t multiplier = (int32_t)(65536.0f / (1000 * MOTION_INPUT_SCALE) + 0.5f);
    int32_t value = MOTION_INPUT_ZERO + ((thousandths * multiplier + 32768) >> 16);

    return (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
}

/* EVERY samples more. Nonzero: the recording is at its end. */
static int feel(void)
{
    memmove(window, window + AXES * EVERY, sizeof window - AXES * EVERY);
    for (int8_t *to = window + sizeof window - AXES * EVERY; to < window + sizeof window; to += AXES) {
        int16_t sample[AXES];

        if (port_read(sample, sizeof sample) != 0)
            return 1;
        for (int axis = 0; axis < AXES; axis++)
            to[axis] = quantized(sample[axis]);
    }
    return 0;
}

static int decide(void)
{
    const int8_t *scores;
    int best = 0;

    memcpy(motion_input(&motion), window, sizeof window);
    scores = motion_invoke(&motion);
    for (int i = 1; i < MOTION_OUTPUT_LEN; i++)
        if (scores[i] > scores[best])
            best = i;
    return best;
}

static void tell(const char *name)
{
    for (; *name; name++) {
        if (port_write(name, 1) != 0)
            port_exit(1);
    }
    if (port_write("\n", 1) != 0)
        port_exit(1);
}

int main(void)
{
    int told = -1, last = -1, agreed = 0;

    if (port_open() != 0 || motion_init(&motion, &memory) != 0)
        port_exit(1);
    for (int blocks = 1; feel() == 0; blocks++) {
        int found;

        if (blocks * EVERY < STEPS)
            continue;
        found = decide();
        agreed = found == last ? agreed + 1 : 1;
        last = found;
        if (agreed >= AGREE && found != told)
            tell(names[told = found]);
    }
    port_exit(0);
}
