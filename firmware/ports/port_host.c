/* port_host.c: the samples come on stdin, the results go to stdout. */
#include "port.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#endif

int port_open(void)
{
#ifdef _WIN32
    /* Text mode would turn every byte 10 into 13, 10. */
    if (_setmode(_fileno(stdin), _O_BINARY) == -1 || _setmode(_fileno(stdout), _O_BINARY) == -1)
        return 1;
#endif
    return 0;
}

int port_read(void *data, size_t bytes)
{
    return fread(data, 1, bytes, stdin) != bytes;
}

int port_write(const void *data, size_t bytes)
{
    return fwrite(data, 1, bytes, stdout) != bytes || fflush(stdout) != 0;
}

_Noreturn void port_exit(int status)
{
    exit(status);
}
