/* start_rp2350.c: the block that an RP2350's boot ROM looks for in the first 4 KB of flash: an image for its Arm cores, secure, to
 * be started by the vector table at the start (RP2350 datasheet, section 5.9; pico-sdk 2.1.1, boot/picobin.h). The ROM has set
 * the flash's interface up by then.
 */
#include <stdint.h>

extern const uint32_t port_image_definition[5];

__attribute__((section(".embedded_block"), used)) const uint32_t port_image_definition[5] = {
    0xFFFFDED3u, /* a block begins */
    0x10210142u, /* image type, one word: executable, secure, Arm, RP2350 */
    0x000001FFu, /* last item: it was one word */
    0u,          /* the next block is this one */
    0xAB123579u, /* it ends */
};
