/* semihosting.h: files of the host, through traps that a debugger or an emulator answers. Shared by port_cortex_m.c
 * and port_riscv.c, each of which gives `semihosting_call`. The samples are in.bin, the results go to out.bin. On a board they have
 * the names SEMIHOSTING_SAMPLES and SEMIHOSTING_RESULTS, and it waits for its samples (simulator/semihosting_engine.py).
 *
 * Semihosting for AArch32 and AArch64 (Arm IHI 0100); RISC-V uses the same calls.
 */
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include "port.h"

enum {
    SEMIHOSTING_OPEN = 0x01,
    SEMIHOSTING_CLOSE = 0x02,
    SEMIHOSTING_WRITE = 0x05,
    SEMIHOSTING_READ = 0x06,
    SEMIHOSTING_EXIT_EXTENDED = 0x20
};

enum { SEMIHOSTING_READ_BINARY = 1, SEMIHOSTING_WRITE_BINARY = 5 };

#define SEMIHOSTING_APPLICATION_EXIT 0x20026u

static intptr_t semihosting_call(intptr_t operation, const void *arguments);

static intptr_t input;
static intptr_t output;

static intptr_t semihosting_open(const char *name, uintptr_t length, uintptr_t mode)
{
    const uintptr_t arguments[3] = {(uintptr_t)name, mode, length};

    return semihosting_call(SEMIHOSTING_OPEN, arguments);
}

int port_open(void)
{
#ifdef SEMIHOSTING_SAMPLES
    do
        input = semihosting_open(SEMIHOSTING_SAMPLES, sizeof SEMIHOSTING_SAMPLES - 1, SEMIHOSTING_READ_BINARY);
    while (input == -1);
    output = semihosting_open(SEMIHOSTING_RESULTS, sizeof SEMIHOSTING_RESULTS - 1, SEMIHOSTING_WRITE_BINARY);
#else
    input = semihosting_open("in.bin", 6, SEMIHOSTING_READ_BINARY);
    output = semihosting_open("out.bin", 7, SEMIHOSTING_WRITE_BINARY);
#endif
    return input == -1 || output == -1;
}

/* READ and WRITE return how many bytes were left undone. */
int port_read(void *data, size_t bytes)
{
    const uintptr_t arguments[3] = {(uintptr_t)input, (uintptr_t)data, bytes};

    return semihosting_call(SEMIHOSTING_READ, arguments) != 0;
}

int port_write(const void *data, size_t bytes)
{
    const uintptr_t arguments[3] = {(uintptr_t)output, (uintptr_t)data, bytes};

    return semihosting_call(SEMIHOSTING_WRITE, arguments) != 0;
}

_Noreturn void port_exit(int status)
{
    const uintptr_t file[1] = {(uintptr_t)output};
    const uintptr_t arguments[2] = {SEMIHOSTING_APPLICATION_EXIT, (uintptr_t)status};

    (void)semihosting_call(SEMIHOSTING_CLOSE, file);
    for (;;)
        (void)semihosting_call(SEMIHOSTING_EXIT_EXTENDED, arguments);
}

/* For fault handlers. The stack may be what failed, so nothing here uses it. */
static inline _Noreturn void semihosting_fault(void)
{
    static const uintptr_t arguments[2] = {SEMIHOSTING_APPLICATION_EXIT, PORT_FAULT_STATUS};

    for (;;)
        (void)semihosting_call(SEMIHOSTING_EXIT_EXTENDED, arguments);
}

#endif
