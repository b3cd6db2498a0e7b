/* As much of Arduino as a sketch needs that prints: Serial, which is QEMU's semihosting console. */
#ifndef ARDUINO_H
#define ARDUINO_H

#include <stdint.h>

void setup(void);
void loop(void);
unsigned long millis(void);

class Console {
public:
    void begin(unsigned long baud);
    void print(const char *text);
    void println(const char *text);
    void println(int number);
    operator bool() const { return true; }
};

extern Console Serial;

#endif
