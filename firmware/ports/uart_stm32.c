/* uart_stm32.c: the USART of STM32F1, F2 and F4 (RM0390, section 25.6), at UART_BASE. UART_SETUP switches on the clocks of the
 * USART and of its pins, and gives it the pins; UART_DIVIDER is BRR at the clock that reset selects. */
#include "uart.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define STATUS REGISTER(UART_BASE + 0x00u)
#define DATA REGISTER(UART_BASE + 0x04u)
#define BAUD_RATE REGISTER(UART_BASE + 0x08u)
#define CONTROL REGISTER(UART_BASE + 0x0Cu)

#define STATUS_RECEIVED (1u << 5)
#define STATUS_ROOM (1u << 7)
#define CONTROL_BOTH (1u << 13 | 1u << 3 | 1u << 2) /* on, sends, receives */

#define WRITE(address, clear, bits) REGISTER(address) = (REGISTER(address) & ~(clear)) | (bits);

void uart_open(void)
{
    UART_SETUP(WRITE)
    BAUD_RATE = UART_DIVIDER;
    CONTROL = CONTROL_BOTH;
}

int uart_get(void)
{
    return STATUS & STATUS_RECEIVED ? (int)(DATA & 0xFFu) : -1;
}

void uart_put(uint8_t byte)
{
    while ((STATUS & STATUS_ROOM) == 0)
        continue;
    DATA = byte;
}
