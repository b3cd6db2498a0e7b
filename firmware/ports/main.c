/* main.c: feeds samples to a compiled model and writes what it computes. It knows the model through model.h alone.
 *
 * In:  the number of samples, then for each sample the bytes of all inputs, back to back. Of a model with state, an
 *      int32 comes before them: 0 goes on, 1 resets the state, 2 is followed by the state that it is to have.
 * Out: frames of six numbers {kind, row0, rows, channel0, channels, bytes} and `bytes` bytes of payload:
 *
 *   kind >= 0   what layer `kind` computed: rows x width x channels, packed      (built with MODEL_HOOK)
 *   kind -2     ticks of each step, uint64                                       (built with PORT_MEASURES)
 *   kind -3     deepest stack of any step in bytes, uint32                       (built with PORT_MEASURES)
 *   kind -4     the state after the sample                                       (where the model has one)
 *   kind -1     all outputs, back to back: the sample is done
 *
 * Numbers are int32 in the machine's byte order; all supported machines are little-endian.
 */
#include "model.h"

#include "port.h"

#include <string.h>

enum { FRAME_OUTPUTS = -1, FRAME_TICKS = -2, FRAME_STACK = -3, FRAME_STATE = -4 };

enum { FAILED_OPEN = 2, FAILED_READ = 3, FAILED_WRITE = 4, FAILED_INIT = 5, FAILED_STACK = 6 };

MODEL_STATIC_MEMORY(memory);
static model_t model;

/* Writing is a costly trap on an emulator, and the hook gives single pixels: collect. */
static uint8_t pending[4096];
static size_t pending_bytes;

static void flush(void)
{
    if (port_write(pending, pending_bytes) != 0)
        port_exit(FAILED_WRITE);
    pending_bytes = 0;
}

static void put(const void *data, size_t bytes)
{
    const uint8_t *from = data;

    while (bytes > 0) {
        size_t room = sizeof pending - pending_bytes;
        size_t part = bytes < room ? bytes : room;

        memcpy(pending + pending_bytes, from, part);
        pending_bytes += part;
        from += part;
        bytes -= part;
        if (pending_bytes == sizeof pending)
            flush();
    }
}

static void put_header(int32_t kind, int32_t bytes)
{
    const int32_t header[8] = {kind, 0, 0, 0, 0, 0, 0, bytes};

    put(header, sizeof header);
}

static void get(void *data, size_t bytes)
{
    if (port_read(data, bytes) != 0)
        port_exit(FAILED_READ);
}

#ifdef MODEL_HOOK

static void on_layer(void *user, int layer, const void *data, int row0, int rows, int pixel0, int pixels,
                     int channel0, int channels, int pixel_stride)
{
    const uint8_t *pixel = data;
    int32_t pixel_bytes = channels * model_elements[layer];
    const int32_t header[8] = {layer, row0, rows, pixel0, pixels, channel0, channels, rows * pixels * pixel_bytes};

    (void)user;
    put(header, sizeof header);
    for (int32_t i = 0; i < rows * pixels; i++, pixel += pixel_stride)
        put(pixel, (size_t)pixel_bytes);
}

#endif

#ifdef PORT_MEASURES

static void measure(void)
{
    static uint64_t ticks[MODEL_STEPS];
    uint64_t overhead;
    uint32_t peak = 0;

    port_timer_reset();
    port_timer_start();
    (void)port_idle(&model);
    port_timer_stop();
    overhead = port_timer_ticks();

    for (int step = 0; step < MODEL_STEPS; step++) {
        uint32_t depth;

        port_timer_reset();
        port_stack_paint();
        port_timer_start();
        (void)model_step(&model);
        port_timer_stop();
        depth = port_stack_peak();
        if (port_stack_overflowed())
            port_exit(FAILED_STACK);
        ticks[step] = port_timer_ticks() - overhead;
        if (depth > peak)
            peak = depth;
    }
    put_header(FRAME_TICKS, (int32_t)sizeof ticks);
    put(ticks, sizeof ticks);
    put_header(FRAME_STACK, (int32_t)sizeof peak);
    put(&peak, sizeof peak);
}

#endif

/* Whether every layer is shown; what is not, is measured where the port can. */
#if !defined(MODEL_HOOK)
#define TRACES 0
#elif defined(PORT_SERIAL)
#define TRACES port_traces()
#else
#define TRACES 1
#endif

static void run(void)
{
#ifdef PORT_MEASURES
    if (!TRACES) {
        measure();
        return;
    }
#endif
    (void)model_invoke(&model);
}

#ifdef MODEL_STATE_BYTES

enum { STATE_RESET = 1, STATE_GIVEN = 2 };

static void before_sample(void)
{
    int32_t what;

    get(&what, sizeof what);
    if (what == STATE_RESET)
        model_reset(&model);
    if (what == STATE_GIVEN)
        get(model.state, MODEL_STATE_BYTES);
}

static void after_sample(void)
{
    put_header(FRAME_STATE, MODEL_STATE_BYTES);
    put(model.state, MODEL_STATE_BYTES);
}

#else

static void before_sample(void)
{
}

static void after_sample(void)
{
}

#endif

#define GET_INPUT(accessor, bytes) get(accessor(&model), bytes);
#define PUT_OUTPUT(accessor, bytes) put(accessor(&model), bytes);
#define ADD_BYTES(accessor, bytes) +(bytes)

int main(void)
{
    int32_t samples;

    if (port_open() != 0)
        port_exit(FAILED_OPEN);
    if (model_init(&model, &memory) != 0)
        port_exit(FAILED_INIT);
    get(&samples, sizeof samples);
#ifdef MODEL_HOOK
    if (TRACES)
        model_set_hook(&model, on_layer, NULL);
#endif
    for (int32_t sample = 0; sample < samples; sample++) {
        before_sample();
        MODEL_INPUTS(GET_INPUT)
        run();
        after_sample();
        put_header(FRAME_OUTPUTS, 0 MODEL_OUTPUTS(ADD_BYTES));
        MODEL_OUTPUTS(PUT_OUTPUT)
        flush();
    }
    port_exit(0);
}
