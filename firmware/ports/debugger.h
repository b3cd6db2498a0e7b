/* debugger.h: the samples and results of main.c through a debugger, in place of semihosting.h where PORT_DEBUGGER is
 * defined. The debugger keeps a breakpoint at port_debugger; where it stops, it does what the arguments ask for, puts 0
 * into the register of the result (or another number: it could not), and goes on at the return address. Without a
 * debugger the program waits there for ever. simulator/hardware/gdb.py is the other end.
 */
#ifndef DEBUGGER_H
#define DEBUGGER_H

#include "model.h"

#include "port.h"

#ifdef MODEL_ID

/* Says which model's program a chip holds, in every program at the same place: behind the vector table. */
extern const struct port_identity {
    char mark[8];
    uint8_t id[8];
    char name[sizeof MODEL_NAME];
} port_identity;

__attribute__((section(".identity"), used)) const struct port_identity port_identity = {"driftc", {MODEL_ID}, MODEL_NAME};

#endif

enum { DEBUGGER_OPEN, DEBUGGER_READ, DEBUGGER_WRITE, DEBUGGER_EXIT };

/* `data`: the address of the bytes; of EXIT the status. */
int port_debugger(int operation, uintptr_t data, size_t bytes);

/* EXIT with the status of a fault, for fault handlers: the stack may be what failed, so nothing here uses it. */
_Noreturn void port_debugger_fault(void);

/* In assembly: a compiler would see that nothing comes after an endless loop. */
#ifdef __riscv
#define DEBUGGER_ARGUMENT(number, value) "li a" #number ", " #value "\n\t"
#define DEBUGGER_LABEL(name) ".global " #name "\n\t.type " #name ", @function\n" #name ":\n\t"
#define DEBUGGER_WAIT ".option push\n\t.option norvc\n\tj port_debugger\n\t.option pop\n\t"
#define DEBUGGER_SECTION ".section .text.port_debugger, \"ax\", @progbits\n\t.balign 4\n\t"
#else
#define DEBUGGER_ARGUMENT(number, value) "movs r" #number ", #" #value "\n\t"
#define DEBUGGER_LABEL(name) ".global " #name "\n\t.type " #name ", %function\n\t.thumb_func\n" #name ":\n\t"
#define DEBUGGER_WAIT "b port_debugger\n\t"
#define DEBUGGER_SECTION ".syntax unified\n\t.section .text.port_debugger, \"ax\", %progbits\n\t.balign 4\n\t"
#endif

__asm__(DEBUGGER_SECTION
        DEBUGGER_LABEL(port_debugger_fault)
        DEBUGGER_ARGUMENT(0, 3)
        DEBUGGER_ARGUMENT(1, 99)
        ".size port_debugger_fault, . - port_debugger_fault\n\t"
        DEBUGGER_LABEL(port_debugger)
        DEBUGGER_WAIT
        ".size port_debugger, . - port_debugger\n\t"
        ".text");

int port_open(void)
{
    return port_debugger(DEBUGGER_OPEN, 0, 0);
}

int port_read(void *data, size_t bytes)
{
    return port_debugger(DEBUGGER_READ, (uintptr_t)data, bytes);
}

int port_write(const void *data, size_t bytes)
{
    return port_debugger(DEBUGGER_WRITE, (uintptr_t)data, bytes);
}

_Noreturn void port_exit(int status)
{
    for (;;)
        (void)port_debugger(DEBUGGER_EXIT, (uintptr_t)status, 0);
}

#endif
