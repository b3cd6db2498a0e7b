/* uart_sercom.h: the SERCOM of SAM D21 and SAM D5x/E5x as a USART (SAM D21 datasheet, SERCOM USART registers), at UART_BASE, pad 0
 * sending and pad 1 receiving. Included by uart_samd21.c and uart_samd51.c. UART_SETUP gives it clocks and pins; UART_DIVIDER is clocks a
 * bit, in 16ths.
 */
#ifndef UART_SERCOM_H
#define UART_SERCOM_H

#include "uart.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define HALF(address) (*(volatile uint16_t *)(address))
#define CONTROL_A REGISTER(UART_BASE + 0x00u)
#define CONTROL_B REGISTER(UART_BASE + 0x04u)
#define BAUD HALF(UART_BASE + 0x0Cu)
#define FLAGS (*(volatile uint8_t *)(UART_BASE + 0x18u))
#define BUSY REGISTER(UART_BASE + 0x1Cu) /* a write is on its way into the other clock's domain */
#define DATA HALF(UART_BASE + 0x28u)

#define CONTROL_A_RESET 1u
#define CONTROL_A_ON 2u
#define CONTROL_A_USART (1u << 30 | 1u << 20 | 1u << 2) /* lowest bit first, receives on pad 1, its own clock */
#define CONTROL_B_BOTH (1u << 17 | 1u << 16)            /* receives, sends */
#define FLAGS_ROOM 1u
#define FLAGS_RECEIVED 4u

#define WRITE(address, clear, bits) REGISTER(address) = (REGISTER(address) & ~(clear)) | (bits);

static void settle(void)
{
    while (BUSY != 0)
        continue;
}

static void sercom_open(void)
{
    CONTROL_A = CONTROL_A_RESET;
    settle();
    CONTROL_A = CONTROL_A_USART;
    BAUD = (uint16_t)(0x10000u - 0x1000000u / UART_DIVIDER); /* 65536 (1 - 16 / clocks a bit) */
    CONTROL_B = CONTROL_B_BOTH;
    settle();
    CONTROL_A = CONTROL_A_USART | CONTROL_A_ON;
    settle();
}

int uart_get(void)
{
    return FLAGS & FLAGS_RECEIVED ? (int)(DATA & 0xFFu) : -1;
}

void uart_put(uint8_t byte)
{
    while ((FLAGS & FLAGS_ROOM) == 0)
        continue;
    DATA = byte;
}

#endif
