/* Prints OK over the UART where the self-test of kws passes. */
#include "kws.h"
#include "pico/stdlib.h"

#include <stdio.h>

KWS_STATIC_MEMORY(memory);
static kws_t kws;

int main(void)
{
    stdio_init_all();
    printf("%s\n", kws_init(&kws, &memory) == 0 && kws_selftest(&kws) == 0 ? "kws: OK" : "kws: differs");
    for (;;)
        tight_loop_contents();
}
