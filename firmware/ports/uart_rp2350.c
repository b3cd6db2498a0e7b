/* uart_rp2350.c: see uart_rp.h. Registers: pico-sdk 2.1.1, rp2350 hardware_regs. */
#define XOSC 0x40048000u
#define CLOCKS 0x40010000u
#define RESETS 0x40020000u
#define RESETS_USED (1u << 26 | 1u << 9 | 1u << 6) /* UART 0, pads, pins */
#define PINS 0x40028000u
#define PADS 0x40038000u /* after a reset a pad is isolated, and takes no input */
#define PAD_OUT 0x12u    /* Schmitt trigger, 4 mA: as after a reset */
#define PAD_IN 0x5Au     /* and takes input, pulled up while nobody drives it */

#include "uart_rp.h"
