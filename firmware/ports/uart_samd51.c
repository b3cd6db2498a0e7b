/* uart_samd51.c: see uart_sercom.h. */
#include "uart_sercom.h"

void uart_open(void)
{
    UART_SETUP(WRITE)
    sercom_open();
}
