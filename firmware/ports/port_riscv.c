/* port_riscv.c: any 32-bit RISC-V in machine mode, from reset to semihosting, or to a serial line or a debugger where
 * PORT_SERIAL or PORT_DEBUGGER is defined. Time is the number of instructions retired; with PORT_CYCLES that of cycles. PORT_COUNTER
 * is a CSR of 32 bits that counts cycles, of a core that has neither. */
#include "bare_metal.h"
#if defined(PORT_SERIAL)
#include "serial.h"
#elif defined(PORT_DEBUGGER)
#include "debugger.h"
#else
#include "semihosting.h"
#endif

int main(void);
_Noreturn void port_start(void);
void port_trap(void);

#define STRINGIFY(x) STRINGIFY_(x)
#define STRINGIFY_(x) #x

#if defined(PORT_SERIAL)

_Noreturn void port_reset(void);

static _Noreturn void serial_restart(void)
{
    port_reset();
}

#elif !defined(PORT_DEBUGGER)

/* The three instructions mark the trap as semihosting; uncompressed, and in one page (RISC-V Semihosting, 1.0). */
static intptr_t semihosting_call(intptr_t operation, const void *arguments)
{
    register intptr_t a0 __asm__("a0") = operation;
    register const void *a1 __asm__("a1") = arguments;

    __asm__ volatile(".balign 16\n\t"
                     ".option push\n\t"
                     ".option norvc\n\t"
                     "slli zero, zero, 0x1f\n\t"
                     "ebreak\n\t"
                     "srai zero, zero, 7\n\t"
                     ".option pop"
                     : "+r"(a0)
                     : "r"(a1)
                     : "memory");
    return a0;
}

#endif

/* Nothing of C works before the stack pointer is set. */
__asm__(".section .init, \"ax\"\n\t"
        ".global port_reset\n\t"
        ".type port_reset, @function\n"
        "port_reset:\n\t"
        "la sp, port_stack_top\n\t"
        "la t0, port_trap\n\t"
        "csrw mtvec, t0\n\t"
        "j port_start\n\t"
        ".size port_reset, . - port_reset\n\t"
        ".text");

_Noreturn void port_start(void)
{
    bare_metal_start_memory();
    port_exit(main());
}

/* Aligned to 256: some cores ignore so many bits of mtvec (ESP32-C6 technical reference manual, register 1.9). */
#ifdef PORT_SERIAL

/* The stack may be what failed: a new one, from its top. */
__attribute__((aligned(256), naked)) void port_trap(void)
{
    __asm__("la   sp, port_stack_top\n\t"
            "li   a0, " STRINGIFY(PORT_FAULT_STATUS) "\n\t"
            "tail port_exit");
}

#else

__attribute__((aligned(256))) void port_trap(void)
{
#ifdef PORT_DEBUGGER
    port_debugger_fault();
#else
    semihosting_fault();
#endif
}

#endif

#ifdef PORT_MEASURES

#define READ_CSR(name, value) READ_CSR_(name, value)
#define READ_CSR_(name, value) __asm__ volatile("csrr %0, " #name : "=r"(value)::"memory")

static uint64_t started, stopped;

#ifdef PORT_COUNTER

static inline uint64_t count(void)
{
    uint32_t low;

    READ_CSR(PORT_COUNTER, low);
    return low;
}

/* A step may take as long as the 32 bits last, 26 s at 160 MHz. */
#define ELAPSED(ticks) ((uint32_t)(ticks))

#else

#ifdef PORT_CYCLES
#define COUNTER mcycle
#else
#define COUNTER minstret
#endif
#define HIGH_HALF(counter) HIGH_HALF_(counter)
#define HIGH_HALF_(counter) counter##h
#define ELAPSED(ticks) (ticks)

/* The halves are read one after the other: again, if the low one wrapped meanwhile. */
static inline uint64_t count(void)
{
    uint32_t high, low, high_after;

    do {
        READ_CSR(HIGH_HALF(COUNTER), high);
        READ_CSR(COUNTER, low);
        READ_CSR(HIGH_HALF(COUNTER), high_after);
    } while (high != high_after);
    return (uint64_t)high << 32 | low;
}

#endif

void port_timer_reset(void)
{
    started = stopped = 0;
}

void port_timer_start(void)
{
    started = count();
}

void port_timer_stop(void)
{
    stopped = count();
}

uint64_t port_timer_ticks(void)
{
    return ELAPSED(stopped - started);
}

int port_idle(void *model)
{
    (void)model;
    return 0;
}

/* In assembly: a compiler might give them a frame, to be painted over. */
__attribute__((naked)) void port_stack_paint(void)
{
    __asm__("       la   t0, port_stack_bottom\n"
            "       li   t1, " STRINGIFY(STACK_PATTERN) "\n"
            "next:  sw   t1, 0(t0)\n"
            "       addi t0, t0, 4\n"
            "       bltu t0, sp, next\n"
            "       ret");
}

__attribute__((naked)) uint32_t port_stack_peak(void)
{
    __asm__("       la   t0, port_stack_bottom\n"
            "       li   t1, " STRINGIFY(STACK_PATTERN) "\n"
            "check: lw   t2, 0(t0)\n"
            "       bne  t2, t1, found\n"
            "       addi t0, t0, 4\n"
            "       bltu t0, sp, check\n"
            "found: sub  a0, sp, t0\n"
            "       ret");
}

#endif
