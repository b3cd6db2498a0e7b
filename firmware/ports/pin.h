/* pin.h: an output pin whose falling edge marks a time, for mlperf.c. pin.c implements it with a board's registers. */
#ifndef PIN_H
#define PIN_H

/* Makes the pin an output that is high. */
void pin_open(void);

void pin_low(void);
void pin_high(void);

#endif
