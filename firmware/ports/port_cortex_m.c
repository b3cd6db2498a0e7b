/* port_cortex_m.c: any Arm Cortex-M, from reset to semihosting, or to a serial line or a debugger where PORT_SERIAL or
 * PORT_DEBUGGER is defined. Time is SysTick, 24 bits wide; an interrupt counts its wraps. With PORT_CYCLES it is the cycle
 * counter of the DWT, which a chip has and emulators have not; Armv6-M keeps SysTick.
 */
#include "bare_metal.h"
#if defined(PORT_SERIAL)
#include "serial.h"
#elif defined(PORT_DEBUGGER)
#include "debugger.h"
#else
#include "semihosting.h"
#endif

int main(void);

#define STRINGIFY(x) STRINGIFY_(x)
#define STRINGIFY_(x) #x

#if !defined(PORT_SERIAL) && !defined(PORT_DEBUGGER)

static intptr_t semihosting_call(intptr_t operation, const void *arguments)
{
    register intptr_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = arguments;

    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

#endif

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define CPACR REGISTER(0xE000ED88u)       /* coprocessor access control */
#define AIRCR REGISTER(0xE000ED0Cu)       /* application interrupt and reset control */
#define AIRCR_RESET 0x05FA0004u           /* the key, and the request of a system reset */
#define SYSTICK_CSR REGISTER(0xE000E010u) /* control and status */
#define SYSTICK_RVR REGISTER(0xE000E014u) /* reload value */
#define SYSTICK_CVR REGISTER(0xE000E018u) /* current value, counts down */
#define SYSTICK_RUN 0x7u                  /* core clock, interrupt, enable */
#define SYSTICK_PAUSE 0x4u                /* core clock */

_Noreturn void port_reset(void)
{
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    CPACR |= 0xFu << 20; /* full access to CP10 and CP11: FPU and MVE */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
    bare_metal_start_memory();
    port_exit(main());
}

#if defined(PORT_SERIAL)

static _Noreturn void serial_restart(void)
{
    __asm__ volatile("dsb" ::: "memory");
    AIRCR = AIRCR_RESET;
    for (;;)
        continue;
}

/* The stack may be what failed: a new one, from its top. */
__attribute__((naked)) static void fault(void)
{
    __asm__(".syntax unified\n"
            "ldr  r0, =port_stack_top\n"
            "mov  sp, r0\n"
            "movs r0, #" STRINGIFY(PORT_FAULT_STATUS) "\n"
            "ldr  r1, =port_exit\n"
            "bx   r1\n"
            ".ltorg");
}

#elif defined(PORT_DEBUGGER)

#define fault port_debugger_fault

#else

static _Noreturn void fault(void)
{
    semihosting_fault();
}

#endif

#ifdef PORT_MEASURES

#if defined(PORT_CYCLES) && !defined(__ARM_ARCH_6M__)

/* Arm DDI 0403E (Armv7-M Architecture Reference Manual), C1.6.5 DEMCR, C1.8 DWT; Armv8-M has the same. */
#define DEMCR REGISTER(0xE000EDFCu)
#define DEMCR_TRACE (1u << 24)
#define DWT_CTRL REGISTER(0xE0001000u)
#define DWT_COUNTS 1u
#define DWT_CYCCNT REGISTER(0xE0001004u)
#define systick fault

static uint32_t started, stopped;

void port_timer_reset(void)
{
    DEMCR |= DEMCR_TRACE;
    DWT_CTRL |= DWT_COUNTS;
}

void port_timer_start(void)
{
    started = DWT_CYCCNT;
}

void port_timer_stop(void)
{
    stopped = DWT_CYCCNT;
}

/* 32 bits: a step may take as long as they last, 17 s at 250 MHz. */
uint64_t port_timer_ticks(void)
{
    return stopped - started;
}

#else

#ifndef PORT_SYSTICK_PERIOD
#define PORT_SYSTICK_PERIOD 0x1000000u /* ticks from wrap to wrap: all 24 bits */
#endif

static volatile uint32_t wraps;

static void systick(void)
{
    wraps++;
}

void port_timer_reset(void)
{
    wraps = 0;
    SYSTICK_RVR = PORT_SYSTICK_PERIOD - 1;
    SYSTICK_CVR = 0; /* whatever is written, it becomes 0; the first tick then reloads it */
}

void port_timer_start(void)
{
    SYSTICK_CSR = SYSTICK_RUN;
}

/* The core clock stays selected: QEMU 7.2 goes on at the wrong rate after a change. */
void port_timer_stop(void)
{
    SYSTICK_CSR = SYSTICK_PAUSE;
}

uint64_t port_timer_ticks(void)
{
    uint32_t left = SYSTICK_CVR;

    /* 0 is both where counting starts and where a wrap, already counted, is about to reload. */
    if (left == 0)
        left = PORT_SYSTICK_PERIOD;
    return ((uint64_t)wraps + 1) * PORT_SYSTICK_PERIOD - left;
}

#endif

int port_idle(void *model)
{
    (void)model;
    return 0;
}

/* In assembly: a compiler might give them a frame, to be painted over. All instructions exist on every Cortex-M. */
__attribute__((naked)) void port_stack_paint(void)
{
    __asm__(".syntax unified\n"
            "       ldr  r0, =port_stack_bottom\n"
            "       ldr  r1, =" STRINGIFY(STACK_PATTERN) "\n"
            "       mov  r2, sp\n"
            "next:  str  r1, [r0]\n"
            "       adds r0, #4\n"
            "       cmp  r0, r2\n"
            "       blo  next\n"
            "       bx   lr\n"
            "       .ltorg");
}

__attribute__((naked)) uint32_t port_stack_peak(void)
{
    __asm__(".syntax unified\n"
            "       ldr  r0, =port_stack_bottom\n"
            "       ldr  r1, =" STRINGIFY(STACK_PATTERN) "\n"
            "       mov  r2, sp\n"
            "check: ldr  r3, [r0]\n"
            "       cmp  r3, r1\n"
            "       bne  found\n"
            "       adds r0, #4\n"
            "       cmp  r0, r2\n"
            "       blo  check\n"
            "found: subs r0, r2, r0\n"
            "       bx   lr\n"
            "       .ltorg");
}

#else
#define systick fault
#endif

struct vector_table {
    uint32_t *stack;
    void (*handlers[15])(void); /* from reset to SysTick; nothing else is enabled */
};

extern const struct vector_table port_vectors;

__attribute__((section(".vectors"), used)) const struct vector_table port_vectors = {
    port_stack_top,
    {port_reset, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, systick},
};
