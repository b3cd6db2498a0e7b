/* uart_cmsdk.c: the UART of Arm's CMSDK (DDI 0479D, APB UART), at UART_BASE: that of the MPS2 and MPS3 boards. */
#include "uart.h"

#define REGISTER(offset) (*(volatile uint32_t *)(UART_BASE + (offset)))
#define DATA REGISTER(0x00u)
#define STATE REGISTER(0x04u)
#define CONTROL REGISTER(0x08u)
#define DIVIDER REGISTER(0x10u) /* clocks a bit, 16 or more */

#define STATE_SENDING 0x1u  /* the buffer is full */
#define STATE_RECEIVED 0x2u /* the buffer is full */
#define CONTROL_BOTH 0x3u   /* sends and receives */

#ifndef UART_DIVIDER
#define UART_DIVIDER 16u /* an emulator takes no notice of it */
#endif

void uart_open(void)
{
    DIVIDER = UART_DIVIDER;
    CONTROL = CONTROL_BOTH;
}

int uart_get(void)
{
    return STATE & STATE_RECEIVED ? (int)(DATA & 0xFFu) : -1;
}

void uart_put(uint8_t byte)
{
    while (STATE & STATE_SENDING)
        continue;
    DATA = byte;
}
