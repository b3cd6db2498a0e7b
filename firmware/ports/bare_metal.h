/* bare_metal.h: what every port without an operating system does the same way: memory at start-up, and the painted
 * stack. Shared by port_cortex_m.c and port_riscv.c. The symbols come from ports.ld. */
#ifndef BARE_METAL_H
#define BARE_METAL_H

#include "port.h"

extern uint32_t port_stack_bottom[], port_stack_top[];
extern uint32_t port_data_start[], port_data_end[];
extern const uint32_t port_data_load[];
extern uint32_t port_bss_start[], port_bss_end[];

static inline void bare_metal_start_memory(void)
{
    const uint32_t *from = port_data_load;

    for (uint32_t *to = port_data_start; to < port_data_end; to++)
        *to = *from++;
    for (uint32_t *to = port_bss_start; to < port_bss_end; to++)
        *to = 0;
}

#ifdef PORT_MEASURES

#define STACK_PATTERN 0xA5C3965Au

/* Where the stack pointer is: below it nothing is in use. The functions that use this have no frame of their own,
 * so it is their caller's. */
static inline uint32_t *bare_metal_stack_pointer(void);

static uint32_t *stack_caller;       /* the stack pointer when the stack was painted last */
static uint32_t *stack_painted_from; /* all between the bottom and here still shows the pattern */

void port_stack_paint(void)
{
    uint32_t *caller = bare_metal_stack_pointer();
    /* volatile: to the compiler this memory is nobody's. */
    volatile uint32_t *word = stack_painted_from != NULL ? stack_painted_from : port_stack_bottom;

    while (word < caller)
        *word++ = STACK_PATTERN;
    stack_caller = caller;
}

uint32_t port_stack_peak(void)
{
    volatile uint32_t *word = port_stack_bottom;

    while (word < stack_caller && *word == STACK_PATTERN)
        word++;
    stack_painted_from = (uint32_t *)word;
    return (uint32_t)((uintptr_t)stack_caller - (uintptr_t)word);
}

#endif

#endif
