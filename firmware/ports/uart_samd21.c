/* uart_samd21.c: see uart_sercom.h. */
#include "uart_sercom.h"

/* Of the generic clocks: one register for all, which takes half a word; SERCOM 0 is number 0x14. */
#define CLOCK HALF(0x40000C02u)
#define CLOCK_BUSY (*(volatile uint8_t *)0x40000C01u)
#define CLOCK_ON 0x4000u /* from generator 0, as the core */
#define SERCOM_NUMBER ((UART_BASE - 0x42000800u) / 0x400u)

void uart_open(void)
{
    UART_SETUP(WRITE)
    CLOCK = (uint16_t)(CLOCK_ON | (0x14u + SERCOM_NUMBER));
    while (CLOCK_BUSY != 0)
        continue;
    sercom_open();
}
