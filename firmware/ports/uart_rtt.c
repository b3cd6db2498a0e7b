/* uart_rtt.c: bytes through the memory that a debugger reads and writes while the program runs, for boards without a serial
 * line: SEGGER's Real Time Transfer, whose control block OpenOCD (rtt/rtt.h), pyOCD and J-Link know. One buffer of each
 * direction; a reader takes from where it read last, a writer stops one byte before that. The identifier is put together in
 * RAM, last of all, so that nobody finds it in flash or before the rest is there.
 */
#include "uart.h"

#ifdef __riscv
#define ORDERED() __asm__ volatile("fence" ::: "memory")
#else
#define ORDERED() __asm__ volatile("dmb" ::: "memory")
#endif

enum { RTT_ID = 16, RTT_UP = 1024, RTT_DOWN = 128, RTT_WAIT = 2 /* the writer waits for room */ };

struct rtt_buffer {
    const char *name;
    volatile uint8_t *data;
    uint32_t bytes;
    uint32_t written; /* where the next byte is put */
    uint32_t read;    /* where the next is taken */
    uint32_t flags;
};

struct rtt {
    char id[RTT_ID];
    int32_t ups;
    int32_t downs;
    struct rtt_buffer up;
    struct rtt_buffer down;
};

/* The name that debuggers look for, which C reserves. */
extern volatile struct rtt port_rtt __asm__("_SEGGER_RTT");
volatile struct rtt port_rtt;

static volatile uint8_t up[RTT_UP], down[RTT_DOWN];

void uart_open(void)
{
    static const char backwards[] = "TTR REGGES";

    port_rtt.ups = 1;
    port_rtt.downs = 1;
    port_rtt.up = (struct rtt_buffer){"driftc", up, sizeof up, 0, 0, RTT_WAIT};
    port_rtt.down = (struct rtt_buffer){"driftc", down, sizeof down, 0, 0, RTT_WAIT};
    ORDERED();
    for (uint32_t i = 0; i < sizeof backwards - 1; i++)
        port_rtt.id[i] = backwards[sizeof backwards - 2 - i];
}

int uart_get(void)
{
    uint32_t at = port_rtt.down.read;
    int byte;

    if (at == port_rtt.down.written)
        return -1;
    ORDERED();
    byte = down[at];
    ORDERED();
    port_rtt.down.read = at + 1 == sizeof down ? 0 : at + 1;
    return byte;
}

void uart_put(uint8_t byte)
{
    uint32_t at = port_rtt.up.written;
    uint32_t next = at + 1 == sizeof up ? 0 : at + 1;

    while (next == port_rtt.up.read)
        continue;
    up[at] = byte;
    ORDERED();
    port_rtt.up.written = next;
}
