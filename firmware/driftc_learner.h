/* driftc_learner.h: what NAME_learn.c does around a step of the backward pass: the store of samples, the order in which
 * they are learnt, the check, and what becomes of it. docs/learning.md says the same in words, learner.py in Python.
 */
#ifndef DRIFTC_LEARNER_H
#define DRIFTC_LEARNER_H

#include "driftc_learn.h"
#include "driftc_learned.h"

/* Masters of weights, and their bits below a step of the weight: NAME_learn.c says so where they are int16. */
#ifndef DRIFTC_MASTER_FRACTION
#define DRIFTC_MASTER_FRACTION 16
typedef int32_t driftc_master_t;
#endif

/* Called from several places, and never often: small before fast. */
#if defined(__GNUC__)
#define DRIFTC_APART static __attribute__((noinline, unused, cold))
#else
#define DRIFTC_APART static
#endif

/* A layer that learns: where in the model's state its weights and biases and the masters of both lie, and how many. */
typedef struct {
    int32_t weights, bias, masters, bias_masters;
    int32_t count, biases;
} driftc_trained_t;

/* A model's own, decided when compiling. */
typedef struct {
    const driftc_trained_t *trained; /* the layer that decides first */
    int layers;
    int known, classes;     /* when compiled, and room for */
    int length;             /* of a sample, as it is stored */
    int slots, keep;        /* samples in RAM; of each class after learning */
    int passes, guard;
    int alone;              /* new classes are learnt among themselves, without references */
    int trains;             /* by gradient descent; else class means, which forget nothing and need no references */
    uint32_t seed;
    int references;         /* samples that come with the model: `samples` [references][length], `labels` */
    const int8_t *samples, *labels;
} driftc_lesson_t;

/* Where they lie in the model's state. */
typedef struct {
    int8_t *base;      /* of the state */
    const int8_t *features; /* of the last inference's sample */
    int8_t *store;     /* [slots][length], the oldest first */
    int8_t *labels;    /* [slots] */
    int32_t *counters; /* classes there are, samples in the store, of those learnt already, times learnt */
} driftc_learnt_t;

enum { DRIFTC_CLASSES, DRIFTC_COUNT, DRIFTC_LEARNT, DRIFTC_ROUNDS };

/* A step of the backward pass: gives the class decided, learns unless the label is -1. */
typedef int32_t (*driftc_backward_t)(void *learn, const int8_t *features, int32_t label);

DRIFTC_APART uint32_t driftc_random(uint32_t *state) /* xorshift32 */
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* What begins at byte `at` of the state. */
DRIFTC_INLINE int32_t *driftc_words(const driftc_learnt_t *state, int32_t at)
{
    return (int32_t *)(void *)(state->base + at);
}

DRIFTC_INLINE driftc_master_t *driftc_masters(const driftc_learnt_t *state, const driftc_trained_t *layer)
{
    return (driftc_master_t *)(void *)(state->base + layer->masters);
}

/* Samples [from, count) of the store with this label. */
DRIFTC_APART int32_t driftc_count_of(const driftc_learnt_t *state, int32_t from, int32_t label)
{
    int32_t found = 0;

    for (int32_t i = from; i < state->counters[DRIFTC_COUNT]; i++)
        found += state->labels[i] == label;
    return found;
}

/* Takes the oldest sample of a class out of the store; 0 where there is none. */
DRIFTC_APART int driftc_drop_oldest(const driftc_lesson_t *lesson, const driftc_learnt_t *state, int32_t label)
{
    int32_t *const counters = state->counters;
    const int32_t count = counters[DRIFTC_COUNT];
    int32_t at = 0;

    while (at < count && state->labels[at] != label)
        at++;
    if (at == count)
        return 0;
    memmove(state->store + at * lesson->length, state->store + (at + 1) * lesson->length,
            (size_t)(count - 1 - at) * (size_t)lesson->length);
    memmove(state->labels + at, state->labels + at + 1, (size_t)(count - 1 - at));
    counters[DRIFTC_COUNT]--;
    if (at < counters[DRIFTC_LEARNT])
        counters[DRIFTC_LEARNT]--;
    return 1;
}

/* Numbers of added classes at the end of which nothing is left are free again; in the middle they stay. */
static inline void driftc_fewer_classes(const driftc_lesson_t *lesson, const driftc_learnt_t *state)
{
    const int32_t *const bias = driftc_words(state, lesson->trained->bias);
    int32_t *const classes = state->counters + DRIFTC_CLASSES;

    while (*classes > lesson->known && bias[*classes - 1] == DRIFTC_ABSENT && driftc_count_of(state, 0, *classes - 1) == 0)
        --*classes;
}

static inline int driftc_learn_add(const driftc_lesson_t *lesson, const driftc_learnt_t *state, int label)
{
    int32_t *const counters = state->counters;
    int32_t at;

    if (label < 0 || label >= lesson->classes)
        return DRIFTC_LEARN_LABEL;
    if (counters[DRIFTC_COUNT] == lesson->slots && driftc_drop_oldest(lesson, state, label) == 0)
        return DRIFTC_LEARN_FULL;
    at = counters[DRIFTC_COUNT]++;
    memcpy(state->store + at * lesson->length, state->features, (size_t)lesson->length);
    state->labels[at] = (int8_t)label;
    if (label >= counters[DRIFTC_CLASSES])
        counters[DRIFTC_CLASSES] = label + 1;
    return DRIFTC_LEARN_OK;
}

/* Reference `number`: those that came with the model first, then those learnt before. */
DRIFTC_APART const int8_t *driftc_reference(const driftc_lesson_t *lesson, const driftc_learnt_t *state, int32_t number,
                                             int32_t *label)
{
    const int32_t own = number - lesson->references;

    *label = own < 0 ? lesson->labels[number] : state->labels[own];
    return own < 0 ? lesson->samples + number * lesson->length : state->store + own * lesson->length;
}

/* 1: a reference is of this class; 2: a new sample; 3: both. */
static inline int driftc_seen(const driftc_lesson_t *lesson, const driftc_learnt_t *state, int32_t label)
{
    const int32_t learnt = state->counters[DRIFTC_LEARNT];
    int found = driftc_count_of(state, learnt, label) > 0 ? 2 : 0;

    for (int32_t i = 0; i < lesson->references + learnt; i++) {
        int32_t other;

        (void)driftc_reference(lesson, state, i, &other);
        if (other == label)
            return found | 1;
    }
    return found;
}

/* New sample `at` is kept apart: every fifth of its class, or the last where there are two to four. */
DRIFTC_APART int driftc_held(const driftc_lesson_t *lesson, const driftc_learnt_t *state, int32_t at)
{
    const int32_t learnt = state->counters[DRIFTC_LEARNT], label = state->labels[at];
    const int32_t all = driftc_count_of(state, learnt, label), behind = driftc_count_of(state, at, label);
    const int32_t place = all - behind; /* of its class, from 0 */

    return lesson->guard && all >= 2 && (all < 5 ? place == all - 1 : place % 5 == 4);
}

/* Begins to learn: `order` gets the new samples, first those that are trained on. */
static inline int driftc_learn_begin(const driftc_lesson_t *lesson, const driftc_learnt_t *state, driftc_session_t *session,
                                     uint16_t *order)
{
    const int32_t learnt = state->counters[DRIFTC_LEARNT], count = state->counters[DRIFTC_COUNT];
    const int32_t references = lesson->references + learnt;
    int32_t old = 0, fresh = 0, all = 0, trained = 0, held = 0;

    if (count - learnt < 1 + lesson->trains)
        return DRIFTC_LEARN_FEW;
    for (int32_t c = 0; c < state->counters[DRIFTC_CLASSES]; c++) {
        const int seen = driftc_seen(lesson, state, c);

        old += seen & 1;
        fresh += seen >> 1;
        all += seen != 0;
    }
    if (lesson->trains && (lesson->alone ? fresh < 2 : all < 2))
        return DRIFTC_LEARN_ONE_CLASS;
    for (int32_t i = learnt; i < count; i++)
        if (driftc_held(lesson, state, i))
            order[count - learnt - ++held] = (uint16_t)i; /* the last first */
        else
            order[trained++] = (uint16_t)i;
    memset(&session->report, 0, sizeof session->report);
    session->report.trained = trained;
    session->report.held = held;
    session->report.references = references;
    session->checked = lesson->guard ? held + references : 0;
    session->replays = references == 0 || !lesson->trains || lesson->alone ? 0 : driftc_clamp((old + fresh) / (2 * fresh), 1, 4);
    session->turn = 0;
    session->turns = 2 * session->checked + lesson->passes * trained * (1 + session->replays);
    session->random = lesson->seed + (uint32_t)state->counters[DRIFTC_ROUNDS]++ * 0x9E3779B9u;
    if (session->random == 0)
        session->random = 1;
    for (int l = 0; l < lesson->layers; l++) {
        const driftc_trained_t *const layer = lesson->trained + l;

        for (int32_t i = 0; i < layer->count; i++)
            driftc_masters(state, layer)[i] = (driftc_master_t)(state->base[layer->weights + i] * (1 << DRIFTC_MASTER_FRACTION));
        for (int32_t i = 0; i < layer->biases; i++)
            driftc_words(state, layer->bias_masters)[i] = driftc_words(state, layer->bias)[i] * (1 << 4);
    }
    return DRIFTC_LEARN_OK;
}

/* The rows of classes that were never learnt begin at 0, and are decided like any other from here on. */
static inline void driftc_first_rows(const driftc_lesson_t *lesson, const driftc_learnt_t *state)
{
    const int32_t *const bias = driftc_words(state, lesson->trained->bias);

    for (int32_t c = 0; c < state->counters[DRIFTC_CLASSES]; c++)
        if (bias[c] == DRIFTC_ABSENT && driftc_count_of(state, state->counters[DRIFTC_LEARNT], c) > 0)
            driftc_words(state, lesson->trained->bias_masters)[c] = 0;
}

/* Classes that have no new samples are not there while others are learnt alone (`hide`), and are there again. */
static inline void driftc_other_rows(const driftc_lesson_t *lesson, const driftc_learnt_t *state, int hide)
{
    const int32_t *const bias = driftc_words(state, lesson->trained->bias);

    for (int32_t c = 0; c < state->counters[DRIFTC_CLASSES]; c++)
        if (driftc_count_of(state, state->counters[DRIFTC_LEARNT], c) == 0)
            driftc_words(state, lesson->trained->bias_masters)[c] = (hide ? DRIFTC_ABSENT : bias[c]) * (1 << 4);
}

/* Sample `number` of those that are checked, and its class. */
static inline const int8_t *driftc_checked(const driftc_lesson_t *lesson, const driftc_learnt_t *state,
                                           const driftc_session_t *session, const uint16_t *order, int32_t number,
                                           int32_t *label)
{
    int32_t at;

    if (number >= session->report.held)
        return driftc_reference(lesson, state, number - session->report.held, label);
    at = order[session->report.trained + number];
    *label = state->labels[at];
    return state->store + at * lesson->length;
}

/* Keeps what was learnt, or goes back. */
static inline void driftc_learn_end(const driftc_lesson_t *lesson, const driftc_learnt_t *state, driftc_session_t *session)
{
    driftc_learn_report_t *const report = &session->report;
    const int better = report->held_after > report->held_before;
    const int as_good = report->held_after == report->held_before &&
                        (report->references_before - report->references_after) * 20 <= report->references;

    report->kept = !lesson->guard || better || as_good;
    for (int l = 0; l < lesson->layers; l++) {
        const driftc_trained_t *const layer = lesson->trained + l;
        const driftc_master_t *const masters = driftc_masters(state, layer);

        for (int32_t i = 0; i < layer->count; i++) {
            if (lesson->trains)
                report->saturated += masters[i] == 127 << DRIFTC_MASTER_FRACTION || masters[i] == -(127 << DRIFTC_MASTER_FRACTION);
            if (report->kept)
                state->base[layer->weights + i] = (int8_t)((masters[i] + (1 << (DRIFTC_MASTER_FRACTION - 1))) >> DRIFTC_MASTER_FRACTION);
        }
        for (int32_t i = 0; i < layer->biases && report->kept; i++)
            driftc_words(state, layer->bias)[i] = (driftc_words(state, layer->bias_masters)[i] + 8) >> 4;
    }
    if (report->kept) {
        state->counters[DRIFTC_LEARNT] = state->counters[DRIFTC_COUNT];
        for (int32_t c = 0; c < state->counters[DRIFTC_CLASSES]; c++)
            while (driftc_count_of(state, 0, c) > lesson->keep)
                (void)driftc_drop_oldest(lesson, state, c);
    }
    session->turn = session->turns = 0;
}

/* One sample's worth of learning. Gives how many are left, or why it did not begin. */
static inline int driftc_learn_step(const driftc_lesson_t *lesson, const driftc_learnt_t *state, driftc_session_t *session,
                                    uint16_t *order, driftc_backward_t backward, void *learn)
{
    const int8_t *sample;
    int32_t label, turn, training;

    if (session->turns == 0) {
        const int refused = driftc_learn_begin(lesson, state, session, order);

        if (refused != DRIFTC_LEARN_OK)
            return refused;
    }
    training = session->turns - 2 * session->checked;
    turn = session->turn - session->checked;
    if (turn < 0 || turn >= training) {
        const int32_t number = turn < 0 ? session->turn : turn - training;
        int right;

        sample = driftc_checked(lesson, state, session, order, number, &label);
        right = backward(learn, sample, -1) == label;
        if (number < session->report.held)
            *(turn < 0 ? &session->report.held_before : &session->report.held_after) += right;
        else
            *(turn < 0 ? &session->report.references_before : &session->report.references_after) += right;
    } else {
        const int32_t cycle = turn % (1 + session->replays), item = turn / (1 + session->replays) % session->report.trained;

        if (turn == 0)
            driftc_first_rows(lesson, state);
        if (turn == 0 && lesson->alone)
            driftc_other_rows(lesson, state, 1);
        if (cycle == 0 && item == 0) {
            for (int32_t i = session->report.trained - 1; i > 0; i--) {
                const uint32_t other = driftc_random(&session->random) % (uint32_t)(i + 1);
                const uint16_t kept = order[i];

                order[i] = order[other];
                order[other] = kept;
            }
        }
        if (cycle == 0) {
            label = state->labels[order[item]];
            sample = state->store + order[item] * lesson->length;
        } else {
            const uint32_t any = driftc_random(&session->random) % (uint32_t)session->report.references;

            sample = driftc_reference(lesson, state, (int32_t)any, &label);
        }
        (void)backward(learn, sample, label);
    }
    session->turn++;
    if (lesson->alone && session->turn == session->checked + training)
        driftc_other_rows(lesson, state, 0);
    if (session->turn == session->turns)
        driftc_learn_end(lesson, state, session);
    return session->turns - session->turn;
}

#endif
