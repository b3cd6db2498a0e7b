/* uart_16550.c: a 16550 with registers of one byte, at UART_BASE: that of QEMU's RISC-V machine `virt`. Whoever started
 * the machine has set its speed. */
#include "uart.h"

#define REGISTER(offset) (*(volatile uint8_t *)(UART_BASE + (offset)))
#define DATA REGISTER(0)
#define INTERRUPTS REGISTER(1)
#define FIFO REGISTER(2)
#define LINE REGISTER(3)
#define STATUS REGISTER(5)

#define FIFO_ON 0x07u /* and both emptied */
#define LINE_8N1 0x03u
#define STATUS_RECEIVED 0x01u
#define STATUS_EMPTY 0x20u /* the next byte to send has room */

void uart_open(void)
{
    INTERRUPTS = 0;
    LINE = LINE_8N1;
    FIFO = FIFO_ON;
}

int uart_get(void)
{
    return STATUS & STATUS_RECEIVED ? DATA : -1;
}

void uart_put(uint8_t byte)
{
    while ((STATUS & STATUS_EMPTY) == 0)
        continue;
    DATA = byte;
}
