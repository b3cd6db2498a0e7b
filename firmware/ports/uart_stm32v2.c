/* uart_stm32v2.c: the USART or LPUART of STM32 families with separate data registers, as F0, F7, G0, H7, L4, U5 and WBA
 * (RM0444, USART and LPUART registers), at UART_BASE. UART_SETUP switches on the clocks of it and of its pins, and gives it
 * the pins; UART_DIVIDER is BRR at its clock, which reset selects if UART_SETUP does not.
 */
#include "uart.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define CONTROL REGISTER(UART_BASE + 0x00u)
#define CONTROL_3 REGISTER(UART_BASE + 0x08u)
#define BAUD_RATE REGISTER(UART_BASE + 0x0Cu)
#define STATUS REGISTER(UART_BASE + 0x1Cu)
#define RECEIVED REGISTER(UART_BASE + 0x24u)
#define SENT REGISTER(UART_BASE + 0x28u)

#define CONTROL_BOTH (1u << 3 | 1u << 2) /* sends, receives */
#define CONTROL_ON 1u
#define CONTROL_3_NO_OVERRUN (1u << 12) /* a byte that nobody took is lost, and nothing else: the packets find that */
#define STATUS_RECEIVED (1u << 5)
#define STATUS_ROOM (1u << 7)

#define WRITE(address, clear, bits) REGISTER(address) = (REGISTER(address) & ~(clear)) | (bits);

void uart_open(void)
{
    UART_SETUP(WRITE)
    CONTROL = 0; /* the others can be written while it is off */
    CONTROL_3 = CONTROL_3_NO_OVERRUN;
    BAUD_RATE = UART_DIVIDER;
    CONTROL = CONTROL_BOTH | CONTROL_ON;
}

int uart_get(void)
{
    return STATUS & STATUS_RECEIVED ? (int)(RECEIVED & 0xFFu) : -1;
}

void uart_put(uint8_t byte)
{
    while ((STATUS & STATUS_ROOM) == 0)
        continue;
    SENT = byte;
}
