/* uart_rp2040.c: see uart_rp.h. Registers: RP2040 datasheet. */
#define XOSC 0x40024000u
#define CLOCKS 0x40008000u
#define RESETS 0x4000C000u
#define RESETS_USED (1u << 22 | 1u << 8 | 1u << 5) /* UART 0, pads, pins */
#define PINS 0x40014000u

#include "uart_rp.h"
