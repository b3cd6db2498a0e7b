/* uart_rp2040.c: UART0 of the RP2040 (RP2040 datasheet, 2.14 resets, 2.19 pins, 4.2 UART, an Arm PL011), as far as an emulator asks
 * for it: the rate is left alone. */
#include "uart.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define RESETS REGISTER(0x4000C000u)
#define RESETS_DONE REGISTER(0x4000C008u)
#define RESETS_NEEDED (1u << 22 | 1u << 8 | 1u << 5) /* UART0, pads and pins */
#define PIN_FUNCTION(pin) REGISTER(0x40014004u + 8u * (pin))
#define UART_FUNCTION 2u
#define DATA REGISTER(0x40034000u)
#define FLAGS REGISTER(0x40034018u)
#define LINE REGISTER(0x4003402Cu)
#define CONTROL REGISTER(0x40034030u)
#define FLAGS_SENDING 0x20u
#define FLAGS_NOTHING 0x10u
#define LINE_8N1_FIFO 0x70u
#define CONTROL_ON 0x301u

void uart_open(void)
{
    RESETS &= ~RESETS_NEEDED;
    while ((RESETS_DONE & RESETS_NEEDED) != RESETS_NEEDED)
        continue;
    PIN_FUNCTION(0) = UART_FUNCTION;
    PIN_FUNCTION(1) = UART_FUNCTION;
    LINE = LINE_8N1_FIFO;
    CONTROL = CONTROL_ON;
}

int uart_get(void)
{
    return FLAGS & FLAGS_NOTHING ? -1 : (int)(DATA & 0xFFu);
}

void uart_put(uint8_t byte)
{
    while (FLAGS & FLAGS_SENDING)
        continue;
    DATA = byte;
}
