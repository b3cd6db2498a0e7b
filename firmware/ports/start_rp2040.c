/* start_rp2040.c: the first 256 bytes of an RP2040's flash, which its boot ROM copies to RAM and runs where their last word is
 * the CRC of the others (RP2040 datasheet, section 2.8.1.3; simulator/program.py fills it in). It sets the flash's interface up
 * for plain reads, command 0x03, which every flash has, and starts the program behind it.
 */
#ifdef __arm__

__asm__(".syntax unified\n\t"
        ".section .boot2, \"ax\", %progbits\n\t"
        ".balign 4\n"
        "start_rp2040:\n\t"
        "ldr  r3, =0x18000000\n\t" /* the serial interface of the flash */
        "movs r1, #0\n\t"
        "str  r1, [r3, #0x08]\n\t" /* SSIENR: off */
        "movs r1, #4\n\t"
        "str  r1, [r3, #0x14]\n\t" /* BAUDR: a quarter of the clock */
        "ldr  r1, =0x001F0300\n\t"
        "str  r1, [r3, #0x00]\n\t" /* CTRLR0: 32 bits, one line, send the address and then read */
        "ldr  r1, =0x03000218\n\t"
        "ldr  r0, =0x180000F4\n\t"
        "str  r1, [r0]\n\t" /* SPI_CTRLR0: command 0x03 of 8 bits, address of 24 */
        "movs r1, #0\n\t"
        "str  r1, [r3, #0x04]\n\t" /* CTRLR1: one word */
        "movs r1, #1\n\t"
        "str  r1, [r3, #0x08]\n\t" /* SSIENR: on */
        "ldr  r0, =0x10000100\n\t" /* the vector table, as after a reset */
        "ldr  r1, =0xE000ED08\n\t"
        "str  r0, [r1]\n\t"
        "ldmia r0!, {r1, r2}\n\t"
        "msr  msp, r1\n\t"
        "bx   r2\n\t"
        ".ltorg\n\t"
        ".org 252\n\t"
        ".word 0\n\t"
        ".text");

#endif

typedef int start_rp2040_is_assembly;
