/* Start-up, Serial over semihosting, and an end: QEMU leaves after setup(). */
#include "Arduino.h"

#include <stdio.h>

extern "C" {
extern uint32_t stack_top[], data_load[], data_start[], data_end[], bss_end[];

static int semihosting(int operation, const void *parameter)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = parameter;

    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void start(void)
{
    const uint32_t *from = data_load;

    *(volatile uint32_t *)0xE000ED88 |= 0xF00000; /* CPACR: the FPU */
    for (uint32_t *to = data_start; to < data_end; to++)
        *to = *from++;
    for (uint32_t *to = data_end; to < bss_end; to++)
        *to = 0;
    setup();
    semihosting(0x18, (const void *)0x20026); /* SYS_EXIT: ADP_Stopped_ApplicationExit */
}

__attribute__((section(".vectors"), used)) const void *const vectors[] = { stack_top, (const void *)start };
}

Console Serial;

unsigned long millis(void)
{
    return 0;
}

void Console::begin(unsigned long)
{
}

void Console::print(const char *text)
{
    semihosting(0x04, text);
}

void Console::println(const char *text)
{
    print(text);
    print("\n");
}

void Console::println(int number)
{
    char text[16];

    snprintf(text, sizeof text, "%d", number);
    println(text);
}
