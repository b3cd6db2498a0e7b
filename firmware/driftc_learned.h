/* driftc_learned.h: what NAME_learn.h gives to programs: why a call did nothing, and how learning went. */
#ifndef DRIFTC_LEARNED_H
#define DRIFTC_LEARNED_H

#include <stdint.h>

/* Why a call did nothing. */
enum {
    DRIFTC_LEARN_OK = 0,
    DRIFTC_LEARN_LABEL = -1,     /* no class of that number, nor room for it */
    DRIFTC_LEARN_FULL = -2,      /* the store is full, and holds no sample of that class that could go */
    DRIFTC_LEARN_BUSY = -3,      /* an inference, learning or a step of it is under way */
    DRIFTC_LEARN_NO_SAMPLE = -4, /* no inference since NAME_init, NAME_reset or NAME_learn_load */
    DRIFTC_LEARN_FEW = -5,       /* fewer than two new samples; none, for class means */
    DRIFTC_LEARN_ONE_CLASS = -6  /* all samples are of one class, and none of another is known: it would forget */
};

/* What the last learning did. */
typedef struct {
    int32_t kept;      /* 1: the layer now has what was learnt; 0: it is as before */
    int32_t trained;   /* new samples that were learnt from */
    int32_t held;      /* new samples that were kept apart for the check; those right before and after */
    int32_t held_before, held_after;
    int32_t references; /* samples of what was known before; those right before and after */
    int32_t references_before, references_after;
    int32_t saturated; /* masters that reached the end of their range */
} driftc_learn_report_t;

/* Learning that is under way, or the last. */
typedef struct {
    int32_t turn, turns;  /* steps done and in all; turns is 0 where none is under way */
    int32_t checked;      /* samples that are looked at before, and again after */
    int32_t replays;      /* references after each new sample */
    uint32_t random;
    volatile int inside;  /* a step is being made: no call that comes in between, of an interrupt's, does anything */
    driftc_learn_report_t report;
} driftc_session_t;

#endif
