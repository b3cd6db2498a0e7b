/* pin.c: a pin of the board by its registers. PIN_SETUP are writes that give it its clock and make it an output; PIN_LOW and
 * PIN_HIGH one each, to registers that set what is written into them and leave other pins alone.
 */
#include "pin.h"

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define CHANGE(address, clear, bits) REGISTER(address) = (REGISTER(address) & ~(clear)) | (bits);
#define WRITE(address, bits) REGISTER(address) = (bits)

void pin_open(void)
{
    PIN_SETUP(CHANGE)
    pin_high();
}

void pin_low(void)
{
    PIN_LOW(WRITE);
}

void pin_high(void)
{
    PIN_HIGH(WRITE);
}
