/* mlperf.c: a device under test of MLPerf Tiny: the text commands of its runner over a serial line (uart.h), in place of
 * main.c. The protocol is that of mlcommons/tiny, benchmark/api. A time stamp is a text, or in energy mode, MLPERF_ENERGY, a
 * falling edge of a pin, which the power monitor sees.
 *
 * MLPERF_MODEL, "kws01" and so on, and MLPERF_FORM, how the runner's bytes become the input, come with the compiler's flags.
 */
#include "model.h"

#include "pin.h"
#include "port.h"
#include "uart.h"

#define MLPERF_INT8 0    /* as they are */
#define MLPERF_UINT8 1   /* 128 too large */
#define MLPERF_FLOAT32 2 /* little-endian; the result is how far the output is from them: the mean of the squares */

#ifndef MLPERF_VENDOR
#define MLPERF_VENDOR "driftc"
#endif

#if MLPERF_FORM == MLPERF_FLOAT32
#define LOADED_BYTES (4 * MODEL_INPUT_LEN)
_Static_assert(MODEL_INPUT_LEN == MODEL_OUTPUT_LEN, "what is compared must have one length");
#else
#define LOADED_BYTES MODEL_INPUT_LEN
#endif

enum { COMMAND = 80, PRINTED = 8, WARMUPS = 10, HOLD_MICROSECONDS = 2 /* 1 at the least */ };

MODEL_STATIC_MEMORY(memory);
static model_t model;

static union {
    uint8_t bytes[LOADED_BYTES];
    float reals[(LOADED_BYTES + 3) / 4];
} loaded; /* what db gave; an inference overwrites its input, so each takes it from here */
static uint32_t expected, arrived; /* bytes of it */

static void say(const char *text)
{
    while (*text)
        uart_put((uint8_t)*text++);
}

static void say_number(uint64_t number)
{
    char digits[20];
    int count = 0;

    do
        digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    while (count > 0)
        uart_put((uint8_t)digits[--count]);
}

/* Three decimals, rounded. */
static void say_real(float value)
{
    uint32_t thousandths;

    if (value < 0) {
        say("-");
        value = -value;
    }
    thousandths = value < 4e6f ? (uint32_t)(value * 1000 + 0.5f) : 4000000000u;
    say_number(thousandths / 1000);
    say(".");
    for (uint32_t unit = 100; unit > 0; unit /= 10)
        uart_put((uint8_t)('0' + thousandths / unit % 10));
}

static void say_hex(uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";

    uart_put((uint8_t)digits[byte >> 4]);
    uart_put((uint8_t)digits[byte & 15]);
}

static void say_line(const char *before, uint64_t number, const char *after)
{
    say(before);
    say_number(number);
    say(after);
    say("\r\n");
}

static void timestamp(void)
{
#ifdef MLPERF_ENERGY
    uint64_t start = port_microseconds();

    pin_low();
    while (port_microseconds() - start < HOLD_MICROSECONDS)
        continue;
    pin_high();
#else
    say_line("m-lap-us-", port_microseconds(), "");
#endif
}

static void load_input(void)
{
    MODEL_INPUT_TYPE *input = MODEL_INPUT(&model);

#if MLPERF_FORM == MLPERF_FLOAT32
    for (int i = 0; i < MODEL_INPUT_LEN; i++) {
        float q = loaded.reals[i] / MODEL_INPUT_SCALE + MODEL_INPUT_ZERO;

        if (!(q > -128)) /* what is no number too */
            q = -128;
        input[i] = (MODEL_INPUT_TYPE)(q >= 127 ? 127 : q < 0 ? q - 0.5f : q + 0.5f);
    }
#else
    for (int i = 0; i < MODEL_INPUT_LEN; i++)
        input[i] = (MODEL_INPUT_TYPE)(loaded.bytes[i] - (MLPERF_FORM == MLPERF_UINT8 ? MODEL_INPUT_OFFSET : 0));
#endif
}

static void infer(void)
{
#ifdef MODEL_STATE_BYTES
    model_reset(&model); /* samples have nothing to do with each other */
#endif
    load_input();
    (void)model_invoke(&model);
}

static float real_output(int i)
{
    return MODEL_OUTPUT_SCALE * (float)(MODEL_OUTPUT(&model)[i] - MODEL_OUTPUT_ZERO);
}

static void results(void)
{
    say("m-results-[");
#if MLPERF_FORM == MLPERF_FLOAT32
    float sum = 0;

    for (int i = 0; i < MODEL_OUTPUT_LEN; i++) {
        float apart = loaded.reals[i] - real_output(i);

        sum += apart * apart;
    }
    say_real(sum / MODEL_OUTPUT_LEN);
#else
    for (int i = 0; i < MODEL_OUTPUT_LEN; i++) {
        if (i > 0)
            say(",");
        say_real(real_output(i));
    }
#endif
    say("]\r\n");
}

/* The next word of a command, or NULL. `at` goes on behind it. */
static char *word(char **at)
{
    char *first = *at, *end;

    while (*first == ' ')
        first++;
    for (end = first; *end && *end != ' ';)
        end++;
    *at = *end ? end + 1 : end;
    *end = '\0';
    return end == first ? NULL : first;
}

static int same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/* As atoi: the digits at the beginning, with a sign; within what an int32 holds. */
static int32_t number(const char *text)
{
    int negative = *text == '-';
    int32_t value = 0;

    text += *text == '-' || *text == '+';
    for (; *text >= '0' && *text <= '9'; text++)
        value = value < 200000000 ? value * 10 + (*text - '0') : 2000000000;
    return negative ? -value : value;
}

static void on_infer(char *rest)
{
    const char *count = word(&rest);
    const char *warmups = word(&rest);
    int32_t times = count ? number(count) : 1;
    int32_t before = warmups ? number(warmups) : WARMUPS;

    if (times <= 0) {
        say("e-[Inference iterations must be >0]\r\n");
        return;
    }
    if (before < 0) {
        say("e-[Inference warmup must be >=0]\r\n");
        return;
    }
    say_line("m-warmup-start-", (uint64_t)before, "");
    for (int32_t i = 0; i < before; i++)
        infer();
    say("m-warmup-done\r\n");
    say_line("m-infer-start-", (uint64_t)times, "");
    timestamp();
    for (int32_t i = 0; i < times; i++)
        infer();
    timestamp();
    say("m-infer-done\r\n");
    results();
}

static void on_load(const char *count)
{
    int32_t bytes = count ? number(count) : 0;

    if (count == NULL) {
        say("e-[Command 'db load' requires the # of bytes]\r\n");
    } else if (bytes <= 0) {
        say("e-[Command 'db load' must be >0 bytes]\r\n");
    } else if (bytes > LOADED_BYTES) {
        say_line("e-[Supplied buffer size ", (uint64_t)bytes, " exceeds maximum of " MLPERF_MODEL "'s input]");
    } else {
        expected = (uint32_t)bytes;
        arrived = 0;
        say_line("m-[Expecting ", expected, " bytes]");
    }
}

static void on_print(void)
{
    for (uint32_t i = 0; i < expected; i++) {
        if (i % PRINTED == 0)
            say("m-buffer-");
        say_hex(loaded.bytes[i]);
        say((i + 1) % PRINTED == 0 || i + 1 == expected ? "\r\n" : "-");
    }
}

static int digit(char hex)
{
    if (hex >= '0' && hex <= '9')
        return hex - '0';
    if (hex >= 'a' && hex <= 'f')
        return hex - 'a' + 10;
    if (hex >= 'A' && hex <= 'F')
        return hex - 'A' + 10;
    return -1;
}

/* Digits behind the last byte are ignored. */
static void on_bytes(const char *hex)
{
    unsigned odd = 0;

    for (const char *at = hex; *at; at++)
        odd ^= 1u;
    if (odd) {
        say("e-[Insufficent number of hex digits]\r\n");
        return;
    }
    for (; *hex && arrived < expected; hex += 2) {
        int high = digit(hex[0]), low = digit(hex[1]);

        if (high < 0 || low < 0) {
            const char text[3] = {hex[0], hex[1], '\0'};

            say("e-[Invalid hex digit '");
            say(text);
            say("']\r\n");
            return;
        }
        loaded.bytes[arrived++] = (uint8_t)(high << 4 | low);
        if (arrived == expected)
            say("m-load-done\r\n");
    }
}

static void on_db(char *rest)
{
    char *what = word(&rest);

    if (what == NULL)
        say("e-[Command 'db' requires a subcommand]\r\n");
    else if (same(what, "load"))
        on_load(word(&rest));
    else if (same(what, "print"))
        on_print();
    else
        on_bytes(what);
}

#ifdef MLPERF_TABLES
#include "mlperf_stream.h"
#endif

static void on_help(void)
{
    say("ULPMark for tinyML Firmware V0.0.1\r\n\r\n"
        "help         : this text\r\n"
        "name         : the device's name\r\n"
        "timestamp    : microseconds since its reset, or an edge of a pin\r\n"
        "profile      : the protocol and the model\r\n"
        "db load N    : N bytes of input follow\r\n"
        "db HH[HH]*   : some of them\r\n"
        "db print     : those that came\r\n"
        "infer N W    : W inferences, then N that are timed\r\n"
#ifdef MLPERF_TABLES
        "start, stop  : detection of the wake word\r\n"
        "extract_uart_stream: in 512 samples that db gave\r\n"
#endif
        "results      : the last one's output\r\n");
}

static void obey(char *command)
{
    char *rest = command;
    const char *what = word(&rest);

    if (what == NULL)
        what = "";
    if (same(what, "name")) {
        say("m-name-dut-[" MLPERF_VENDOR "]\r\n");
    } else if (same(what, "timestamp")) {
        timestamp();
    } else if (same(what, "profile")) {
        say("m-profile-[ULPMark for tinyML Firmware V0.0.1]\r\nm-model-[" MLPERF_MODEL "]\r\n");
    } else if (same(what, "help")) {
        on_help();
    } else if (same(what, "db")) {
        on_db(rest);
    } else if (same(what, "infer")) {
        on_infer(rest);
    } else if (same(what, "results")) {
        results();
#ifdef MLPERF_TABLES
    } else if (stream_obeys(what)) {
        return;
#endif
    } else {
        say("e-[Unknown command: ");
        say(what);
        say("]\r\n");
    }
}

int main(void)
{
    char command[COMMAND + 1];
    size_t length = 0;

    uart_open();
    port_clock_start();
#ifdef MLPERF_ENERGY
    pin_open();
    say("m-timestamp-mode-energy\r\n");
#else
    say("m-timestamp-mode-performance\r\n");
#endif
    timestamp();
    if (model_init(&model, &memory) != 0) {
        say("e-[model_init refused its memory]\r\n");
        for (;;)
            (void)uart_get();
    }
    say("m-init-done\r\nm-ready\r\n");
    for (;;) {
        int byte = uart_get();

        if (byte == '%' && length <= COMMAND) {
            command[length] = '\0';
            obey(command);
        }
        if (byte == '%' && length > COMMAND)
            say("e-[Command is too long]\r\n");
        if (byte == '%') {
            say("m-ready\r\n");
            length = 0;
        } else if (byte >= 0 && byte != '\r' && byte != '\n') {
            if (length < COMMAND)
                command[length] = (char)byte;
            length += length <= COMMAND;
        }
    }
}
