/* bare_metal.h: memory at start-up and the end of the stack, for ports without an operating system. Shared by port_cortex_m.c and
 * port_riscv.c; the symbols come from their linker scripts. */
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

#define STACK_PATTERN 0xA5C3965A

int port_stack_overflowed(void)
{
    return *(volatile uint32_t *)port_stack_bottom != STACK_PATTERN;
}

#endif

#endif
