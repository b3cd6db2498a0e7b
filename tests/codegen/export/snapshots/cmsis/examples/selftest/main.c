/* Runs the self-test of kws and prints OK, or the first layer that differs. */
#include "kws.h"

#include <stdio.h>

KWS_STATIC_MEMORY(memory);
static kws_t kws;

static int kws_example(void)
{
    int layer;

    if (kws_init(&kws, &memory) != 0) {
        printf("kws: a block of memory is misaligned\n");
        return 1;
    }
    layer = kws_selftest(&kws);
    if (layer != 0) {
        printf("kws: layer %d differs\n", layer - 1);
        return 1;
    }
    printf("kws: OK\n");
    return 0;
}

int main(void)
{
    return kws_example();
}
