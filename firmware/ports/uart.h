/* uart.h: a board's serial line, 8 data bits, no parity, 1 stop bit. One uart_*.c implements it for each kind of UART; which
 * it is, where it lies and at what rate it runs comes from board.h, made from the board's facts. */
#ifndef UART_H
#define UART_H

#include <stdint.h>

/* Clocks, pins and the rate; comes first. */
void driftc_port_uart_open(void);

/* The oldest byte that has come, 0 to 255; -1: there is none yet. Never waits. */
int driftc_port_getc(void);

/* Waits until there is room, then hands the byte to the line. */
void driftc_port_putc(uint8_t byte);

#endif
