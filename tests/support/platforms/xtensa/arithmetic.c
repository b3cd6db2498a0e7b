/* What the ESP8266 has in its ROM, and the ESP32 as instructions: what the compiler of the former calls. */
#include <stdint.h>

uint32_t __udivsi3(uint32_t x, uint32_t y);
int32_t __divsi3(int32_t x, int32_t y);
int64_t __muldi3(int64_t x, int64_t y);

uint32_t __udivsi3(uint32_t x, uint32_t y)
{
    uint32_t quotient = 0, rest = 0;

    for (int bit = 31; bit >= 0; bit--) {
        rest = rest << 1 | (x >> bit & 1);
        if (rest >= y) {
            rest -= y;
            quotient |= 1u << bit;
        }
    }
    return quotient;
}

int32_t __divsi3(int32_t x, int32_t y)
{
    const uint32_t quotient = __udivsi3(x < 0 ? -(uint32_t)x : (uint32_t)x, y < 0 ? -(uint32_t)y : (uint32_t)y);

    return (int32_t)((x ^ y) < 0 ? -quotient : quotient);
}

int64_t __muldi3(int64_t x, int64_t y)
{
    uint64_t product = 0;

    for (int bit = 0; bit < 64; bit++)
        if ((uint64_t)y >> bit & 1)
            product += (uint64_t)x << bit;
    return (int64_t)product;
}
