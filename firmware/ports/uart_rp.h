/* uart_rp.h: the PL011 of an RP2040 or RP2350 at UART_BASE, GPIO 0 and 1 its pins, as the Pico boards have it (pico-sdk 2.1.1, pico.h,
 * pico2.h). Included by uart_rp2040.c and uart_rp2350.c, which say where the chip's other registers are. After reset the chip
 * runs on a ring oscillator that no serial line can count on, so the crystal is started, 12 MHz; it then clocks the core too.
 * UART_DIVIDER is clocks a bit in 64ths / 16: 16 bits whole, 6 of fraction.
 */
#ifndef UART_RP_H
#define UART_RP_H

#include "uart.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define XOSC_CTRL REGISTER(XOSC)
#define XOSC_STATUS REGISTER(XOSC + 0x04u)
#define XOSC_START 0xFABAA0u /* on, 1 to 15 MHz */
#define XOSC_STABLE (1u << 31)
#define CLOCK_REFERENCE REGISTER(CLOCKS + 0x30u)
#define CLOCK_REFERENCE_SELECTED REGISTER(CLOCKS + 0x38u)
#define REFERENCE_CRYSTAL 2u
#define CLOCK_SYSTEM REGISTER(CLOCKS + 0x3Cu)
#define SYSTEM_NOT_REFERENCE 1u
#define CLOCK_PERIPHERALS REGISTER(CLOCKS + 0x48u)
#define PERIPHERALS_CRYSTAL (1u << 11 | 4u << 5) /* on, from the crystal */
#define RESETS_RESET REGISTER(RESETS)
#define RESETS_DONE REGISTER(RESETS + 0x08u)
#define GPIO0_FUNCTION REGISTER(PINS + 0x04u)
#define GPIO1_FUNCTION REGISTER(PINS + 0x0Cu)
#define FUNCTION_UART 2u

#define DATA REGISTER(UART_BASE + 0x00u)
#define FLAGS REGISTER(UART_BASE + 0x18u)
#define DIVIDER_WHOLE REGISTER(UART_BASE + 0x24u)
#define DIVIDER_FRACTION REGISTER(UART_BASE + 0x28u)
#define LINE REGISTER(UART_BASE + 0x2Cu)
#define CONTROL REGISTER(UART_BASE + 0x30u)

#define FLAGS_NONE_CAME (1u << 4)
#define FLAGS_FULL (1u << 5)
#define LINE_8N1_FIFO (3u << 5 | 1u << 4)
#define CONTROL_BOTH (1u << 9 | 1u << 8 | 1u)

void uart_open(void)
{
    XOSC_CTRL = XOSC_START;
    while ((XOSC_STATUS & XOSC_STABLE) == 0)
        continue;
    CLOCK_REFERENCE = REFERENCE_CRYSTAL;
    while ((CLOCK_REFERENCE_SELECTED & 1u << REFERENCE_CRYSTAL) == 0)
        continue;
    CLOCK_SYSTEM &= ~SYSTEM_NOT_REFERENCE; /* whatever the boot ROM has left there */
    CLOCK_PERIPHERALS = PERIPHERALS_CRYSTAL;
    RESETS_RESET &= ~RESETS_USED;
    while ((RESETS_DONE & RESETS_USED) != RESETS_USED)
        continue;
#ifdef PADS
    REGISTER(PADS + 0x04u) = PAD_OUT; /* no longer isolated */
    REGISTER(PADS + 0x08u) = PAD_IN;
#endif
    GPIO0_FUNCTION = FUNCTION_UART;
    GPIO1_FUNCTION = FUNCTION_UART;
    DIVIDER_WHOLE = UART_DIVIDER >> 6;
    DIVIDER_FRACTION = UART_DIVIDER & 63u;
    LINE = LINE_8N1_FIFO; /* after the divider, which this write hands over */
    CONTROL = CONTROL_BOTH;
}

int uart_get(void)
{
    return FLAGS & FLAGS_NONE_CAME ? -1 : (int)(DATA & 0xFFu);
}

void uart_put(uint8_t byte)
{
    while (FLAGS & FLAGS_FULL)
        continue;
    DATA = byte;
}

#endif
