/* clock.c: microseconds since a start, for programs on bare metal that run for ever: the port's timer, of PORT_CLOCK_HZ. */
#include "port.h"

#define MICROSECONDS 1000000u
#define APART 0x10000u /* ticks between two readings, at the most */

/* The timer is read while it runs: a wrap between its halves shows as a jump. */
static uint64_t ticks(void)
{
    uint64_t first, second;

    do {
#ifdef __riscv
        port_timer_stop(); /* notes the time, and stops nothing */
#endif
        first = port_timer_ticks();
        second = port_timer_ticks();
    } while (second < first || second - first > APART);
    return second;
}

void port_clock_start(void)
{
    port_timer_reset();
    port_timer_start();
}

uint64_t port_microseconds(void)
{
    uint64_t now = ticks();

    return now / PORT_CLOCK_HZ * MICROSECONDS + now % PORT_CLOCK_HZ * MICROSECONDS / PORT_CLOCK_HZ;
}
