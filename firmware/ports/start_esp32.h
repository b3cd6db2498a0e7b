/* start_esp32.h: how a RISC-V ESP32 starts from flash without ESP-IDF's boot loader. Where the flash begins with these two words, its
 * ROM maps the first 4 MB and jumps behind them, "direct boot" (github.com/espressif/esp32c3-direct-boot-example, README). Included
 * by start_esp32c3.c and start_esp32c6.c, which say where the watchdogs are: hardware starts two of them for the time of booting,
 * and the program would be reset by them.
 */
#ifndef START_ESP32_H
#define START_ESP32_H

#ifdef __riscv

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define TIMER_WATCHDOG REGISTER(TIMER_GROUP + 0x48u)      /* WDTCONFIG0 */
#define TIMER_WATCHDOG_LOCK REGISTER(TIMER_GROUP + 0x64u) /* WDTWPROTECT */
#define TIMER_WATCHDOG_UPDATE (1u << 22)                  /* takes over that all other bits, on and at booting among them, are 0 */
#define WATCHDOG_KEY 0x50D83AA1u

void port_start_esp32(void);

/* Uses no memory but the stack: there is none yet that has been set up. */
__attribute__((used)) void port_start_esp32(void)
{
    TIMER_WATCHDOG_LOCK = WATCHDOG_KEY;
    TIMER_WATCHDOG = TIMER_WATCHDOG_UPDATE;
    TIMER_WATCHDOG_LOCK = 0;
    SLOW_WATCHDOG_LOCK = WATCHDOG_KEY;
    SLOW_WATCHDOG = 0;
    SLOW_WATCHDOG_LOCK = 0;
    SUPER_WATCHDOG_LOCK = SUPER_WATCHDOG_KEY;
    SUPER_WATCHDOG |= SUPER_WATCHDOG_FEEDS_ITSELF;
    SUPER_WATCHDOG_LOCK = 0;
}

/* mpcer and mpcmr: the core's own counter, 0x7E2, is to count cycles. */
__asm__(".section .boot, \"ax\", @progbits\n\t"
        ".word 0xaedb041d, 0xaedb041d\n\t"
        "csrci mstatus, 8\n\t" /* no interrupts */
        "csrwi 0x7e0, 1\n\t"
        "csrwi 0x7e1, 1\n\t"
        "la sp, port_stack_top\n\t"
        "call port_start_esp32\n\t"
        "tail port_reset\n\t"
        ".text");

#endif

#endif
