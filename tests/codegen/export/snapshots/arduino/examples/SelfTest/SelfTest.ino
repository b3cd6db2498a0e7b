/* Runs the self-test of kws and prints OK, or the first layer that differs. */
#include <kws.h>

KWS_STATIC_MEMORY(memory);
static kws_t kws;

void setup()
{
    Serial.begin(115200);
    while (!Serial && millis() < 5000)
        ; /* boards with their own USB: until somebody listens */

    if (kws_init(&kws, &memory) != 0) {
        Serial.println("kws: a block of memory is misaligned");
        return;
    }
    int layer = kws_selftest(&kws);
    if (layer != 0) {
        Serial.print("kws: this layer differs: ");
        Serial.println(layer - 1);
        return;
    }
    Serial.println("kws: OK");
}

void loop()
{
}
