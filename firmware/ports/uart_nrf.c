/* uart_nrf.c: the UART of Nordic's nRF51 and nRF52 (nRF52840 product specification, section 6.33), at UART_BASE. UART_SETUP starts
 * the crystal and gives the UART its pins; UART_DIVIDER is what BAUDRATE takes.
 */
#include "uart.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define START_RECEIVING REGISTER(UART_BASE + 0x000u)
#define START_SENDING REGISTER(UART_BASE + 0x008u)
#define RECEIVED REGISTER(UART_BASE + 0x108u)
#define SENT REGISTER(UART_BASE + 0x11Cu)
#define ENABLE REGISTER(UART_BASE + 0x500u)
#define DATA_IN REGISTER(UART_BASE + 0x518u)
#define DATA_OUT REGISTER(UART_BASE + 0x51Cu)
#define BAUD_RATE REGISTER(UART_BASE + 0x524u)

#define ENABLE_UART 4u

#define WRITE(address, clear, bits) REGISTER(address) = (REGISTER(address) & ~(clear)) | (bits);

void uart_open(void)
{
    UART_SETUP(WRITE)
    BAUD_RATE = UART_DIVIDER;
    ENABLE = ENABLE_UART;
    RECEIVED = 0;
    START_RECEIVING = 1;
    START_SENDING = 1;
}

int uart_get(void)
{
    if (RECEIVED == 0)
        return -1;
    RECEIVED = 0; /* before the byte is taken: the next one sets it again */
    return (int)(DATA_IN & 0xFFu);
}

void uart_put(uint8_t byte)
{
    SENT = 0;
    DATA_OUT = byte;
    while (SENT == 0)
        continue;
}
