/* uart_posix.c: stdin and stdout of a program of this machine as its serial line, the machine's clock, and in place of a pin a
 * line on stderr for each of its falling edges.
 */
#define _POSIX_C_SOURCE 200809L

#include "pin.h"
#include "port.h"
#include "uart.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { POLL_MILLISECONDS = 100 };

static uint8_t received[4096];
static size_t held, next;
static uint8_t sending[4096];
static size_t pending;

/* Ends the program when whoever held the other end has gone. */
static void send_pending(void)
{
    for (size_t at = 0; at < pending;) {
        ssize_t done = write(STDOUT_FILENO, sending + at, pending - at);

        if (done <= 0)
            exit(0);
        at += (size_t)done;
    }
    pending = 0;
}

void uart_open(void)
{
}

int uart_get(void)
{
    if (next == held) {
        struct pollfd line = {.fd = STDIN_FILENO, .events = POLLIN};
        ssize_t count;

        send_pending();
        if (poll(&line, 1, POLL_MILLISECONDS) <= 0)
            return -1;
        count = read(STDIN_FILENO, received, sizeof received);
        if (count <= 0)
            exit(0);
        held = (size_t)count;
        next = 0;
    }
    return received[next++];
}

void uart_put(uint8_t byte)
{
    sending[pending++] = byte;
    if (byte == '\n' || pending == sizeof sending)
        send_pending();
}

static struct timespec start;

void port_clock_start(void)
{
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
}

uint64_t port_microseconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)(now.tv_sec - start.tv_sec) * 1000000u + (uint64_t)now.tv_nsec / 1000u -
           (uint64_t)start.tv_nsec / 1000u;
}

void pin_open(void)
{
}

void pin_low(void)
{
    (void)fprintf(stderr, "time stamp: the pin is low at %llu us\n", (unsigned long long)port_microseconds());
}

void pin_high(void)
{
}
