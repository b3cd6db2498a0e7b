/* port.h: what main.c needs from the machine it runs on. One port_*.c implements it for each kind of machine. */
#ifndef PORT_H
#define PORT_H

#include <stddef.h>
#include <stdint.h>

#define PORT_FAULT_STATUS 99 /* what the program ends with after a fault of the processor */

/* Opens the streams; nonzero: could not. */
int port_open(void);

/* Reads exactly `bytes` bytes of the samples; nonzero: there were fewer. */
int port_read(void *data, size_t bytes);

/* Writes exactly `bytes` bytes of the results; nonzero: could not. */
int port_write(const void *data, size_t bytes);

/* Closes the streams and ends the program. */
_Noreturn void port_exit(int status);

#ifdef PORT_SERIAL
/* Whether this session shows every layer, for which the program was built, or is measured. */
int port_traces(void);
#endif

/* A clock for mlperf.c, from 0 at its start; on bare metal it needs PORT_MEASURES, and PORT_CLOCK_HZ for its ticks. */
void port_clock_start(void);
uint64_t port_microseconds(void);

#ifdef PORT_MEASURES

/* Time between start and stop, in the port's own ticks: of SysTick, or instructions retired. Reset comes first. */
void port_timer_reset(void);
void port_timer_start(void);
void port_timer_stop(void);
uint64_t port_timer_ticks(void);

/* Does nothing, called as a step of the model is: its time is what measuring itself costs. */
int port_idle(void *model);

/* Fills the stack below the caller's frame with a pattern; afterwards the peak is how many bytes of it, down to the
 * deepest, no longer show the pattern. These two, start and stop use no stack themselves, so that they do not show. */
void port_stack_paint(void);
uint32_t port_stack_peak(void);

/* After the peak: whether it reached the end of the stack, and maybe went beyond. */
int port_stack_overflowed(void);

#endif

#endif
