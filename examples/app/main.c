/* A program around the model that examples/quickstart.py compiles. */
#include "kws.h"

#include <stdio.h>

KWS_STATIC_MEMORY(memory);

int main(void)
{
    kws_t kws;
    int8_t *features;
    const int8_t *words;

    if (kws_init(&kws, &memory) != 0)
        return 1;
#ifdef KWS_SELFTEST
    if (kws_selftest(&kws) != 0)
        return 2;
    puts("self-test passed");
#endif
    features = kws_input(&kws);
    for (int i = 0; i < KWS_INPUT_LEN; i++)
        features[i] = KWS_INPUT_ZERO; /* silence: real 0 everywhere */
    words = kws_invoke(&kws);
    for (int i = 0; i < KWS_OUTPUT_LEN; i++)
        printf("word %d: %.3f\n", i, (double)(KWS_OUTPUT_SCALE * (float)(words[i] - KWS_OUTPUT_ZERO)));
    return 0;
}
