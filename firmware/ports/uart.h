/* uart.h: bytes to and from a serial line, polled. One uart_*.c implements it for each kind of UART. */
#ifndef UART_H
#define UART_H

#include <stdint.h>

/* 8 data bits, no parity, 1 stop bit, at the speed that the implementation was built for. */
void uart_open(void);

/* The next byte that has come, 0..255; -1: none yet. */
int uart_get(void);

/* Waits until there is room for it. */
void uart_put(uint8_t byte);

#endif
