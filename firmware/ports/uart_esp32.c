/* uart_esp32.c: the UART of ESP32-C3 and ESP32-C6 (ESP-IDF, uart_reg.h of both), at UART_BASE. The ROM has given UART 0 its clock and
 * its pins and has said something there; UART_SETUP sets the speed, from the crystal, and 8N1.
 */
#include "uart.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define DATA REGISTER(UART_BASE + 0x00u)
#define STATUS REGISTER(UART_BASE + 0x1Cu)

#define RECEIVED(status) ((status) & 0xFFu)     /* bytes in the buffer, up to 128 */
#define SENDING(status) ((status) >> 16 & 0xFFu)
#define FULL 126u

#define WRITE(address, clear, bits) REGISTER(address) = (REGISTER(address) & ~(clear)) | (bits);

void uart_open(void)
{
    while (SENDING(STATUS) > 0)
        continue;
    UART_SETUP(WRITE)
}

int uart_get(void)
{
    return RECEIVED(STATUS) > 0 ? (int)(DATA & 0xFFu) : -1;
}

void uart_put(uint8_t byte)
{
    while (SENDING(STATUS) >= FULL)
        continue;
    DATA = byte;
}
