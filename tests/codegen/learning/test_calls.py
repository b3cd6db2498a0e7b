"""What the calls of NAME_learn.h refuse, each with its code, and that nothing has changed then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import run_c
from learning_models import classifier, learning, samples
from learnt import STRICT

import driftc
from driftc.codegen.learning import learner as codes
from driftc.simulator.toolchain import host_compiler

METHODS = ("classifier", "mean")
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

START = """
#include "net_learn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "taught.h"

NET_STATIC_MEMORY(memory);
static net_t net;
static net_learn_t learn;
static driftc_learn_report_t report;
static uint8_t saved[NET_SAVED_STATE_BYTES], before[NET_STATE_BYTES];

static void infer(int number)
{
    memcpy(net_input(&net), taught + number * NET_INPUT_LEN, NET_INPUT_BYTES);
    (void)net_invoke(&net);
}

/* The call gave this code, and the state is as it was. */
static void gives(const char *call, int code, int wanted)
{
    const int changed = memcmp(before, memory.state, sizeof before) != 0;

    if (code != wanted || changed) {
        printf("%s: %d instead of %d%s\\n", call, code, wanted, changed ? ", changed" : "");
        exit(1);
    }
}

#define GIVES(call, wanted) (memcpy(before, memory.state, sizeof before), gives(#call, call, wanted))

static void begin(void)
{
    if (net_init(&net, &memory) != 0 || net_learn_init(&learn, &net, &memory) != 0)
        exit(2);
}
"""

REFUSALS = (
    START
    + """
int main(void)
{
    begin();
    /* Before an inference. */
    GIVES(net_learn_add(&learn, 0), DRIFTC_LEARN_NO_SAMPLE);
    GIVES(net_learn_step(&learn), DRIFTC_LEARN_FEW);
    GIVES(net_learn_result(&learn, &report), DRIFTC_LEARN_OK);
    infer(0);
    /* A label out of range. */
    GIVES(net_learn_add(&learn, -1), DRIFTC_LEARN_LABEL);
    GIVES(net_learn_add(&learn, NET_LEARN_CLASSES), DRIFTC_LEARN_LABEL);
    GIVES(net_learn_add(&learn, 1000000), DRIFTC_LEARN_LABEL);
    GIVES(net_learn_forget(&learn, -2), DRIFTC_LEARN_LABEL);
    GIVES(net_learn_forget(&learn, 4), DRIFTC_LEARN_LABEL); /* there is room, but no such class yet */
    GIVES(net_learn_forget(&learn, NET_LEARN_CLASSES), DRIFTC_LEARN_LABEL);
    /* Too few samples. */
    GIVES(net_learn_step(&learn), DRIFTC_LEARN_FEW);
    if (TRAINS) {
        if (net_learn_add(&learn, 0) != 0)
            return 3;
        GIVES(net_learn_step(&learn), DRIFTC_LEARN_FEW);
    }
    /* The store is full of others. */
    for (int i = 0; i < NET_LEARN_SLOTS; i++) {
        infer(i % TAUGHT);
        if (net_learn_add(&learn, 0) != 0)
            return 4;
    }
    GIVES(net_learn_add(&learn, 1), DRIFTC_LEARN_FULL);
    if (net_learn_add(&learn, 0) != 0)
        return 5;
    /* In the middle of an inference. */
    (void)net_step(&net);
    GIVES(net_learn_add(&learn, 0), DRIFTC_LEARN_BUSY);
    GIVES(net_learn_step(&learn), DRIFTC_LEARN_BUSY);
    GIVES(net_learn_forget(&learn, 0), DRIFTC_LEARN_BUSY);
    GIVES(net_learn_forget(&learn, -1), DRIFTC_LEARN_BUSY);
    GIVES(net_learn_save(&learn, saved, sizeof saved), DRIFTC_STATE_BUSY);
    while (net_step(&net) > 0)
        continue;
    /* In the middle of learning. */
    if (net_learn_step(&learn) <= 0 || net_learn_step(&learn) <= 0)
        return 6;
    GIVES(net_learn_add(&learn, 0), DRIFTC_LEARN_BUSY);
    GIVES(net_learn_forget(&learn, 0), DRIFTC_LEARN_BUSY);
    GIVES(net_learn_forget(&learn, -1), DRIFTC_LEARN_BUSY);
    GIVES(net_learn_result(&learn, &report), DRIFTC_LEARN_BUSY);
    GIVES(net_learn_save(&learn, saved, sizeof saved), DRIFTC_STATE_BUSY);
    GIVES(net_learn_load(&learn, saved, sizeof saved), DRIFTC_STATE_BUSY);
    while (net_learn_step(&learn) > 0)
        continue;
    GIVES(net_learn_result(&learn, &report), DRIFTC_LEARN_OK);
    puts("refused");
    return 0;
}
"""
)

# Calls out of the hook of a layer, as an interrupt's would be: in a step of learning, and in an inference.
WITHIN = (
    START
    + """
static int calls;

static void meanwhile(void *user, int layer, const void *data, int row0, int rows, int pixel0, int pixels, int channel0,
                      int channels, int pixel_stride)
{
    (void)user, (void)layer, (void)data, (void)row0, (void)rows, (void)pixel0, (void)pixels, (void)channel0;
    (void)channels, (void)pixel_stride;
    calls++;
    GIVES(net_learn_add(&learn, 0), DRIFTC_LEARN_BUSY);
    GIVES(net_learn_step(&learn), DRIFTC_LEARN_BUSY);
    GIVES(net_learn_result(&learn, &report), learn.session.inside ? DRIFTC_LEARN_BUSY : DRIFTC_LEARN_OK);
    GIVES(net_learn_forget(&learn, 0), DRIFTC_LEARN_BUSY);
    GIVES(net_learn_forget(&learn, -1), DRIFTC_LEARN_BUSY);
    GIVES(net_learn_save(&learn, saved, sizeof saved), DRIFTC_STATE_BUSY);
    if (learn.session.inside)
        GIVES(net_learn_load(&learn, saved, sizeof saved), DRIFTC_STATE_BUSY);
}

int main(void)
{
    static net_learn_t alone;
    static uint8_t end[NET_STATE_BYTES];

    /* What is learnt where nothing comes in between. */
    begin();
    for (int i = 0; i < TAUGHT; i++) {
        infer(i);
        (void)net_learn_add(&learn, labels[i]);
    }
    while (net_learn_step(&learn) > 0)
        continue;
    memcpy(end, memory.state, sizeof end);
    alone = learn;
    /* The same, with calls within each layer of each step, and within each inference. */
    begin();
    net_set_hook(&net, meanwhile, NULL);
    net_backward_set_hook(&learn.backward, meanwhile, NULL);
    for (int i = 0; i < TAUGHT; i++) {
        infer(i);
        (void)net_learn_add(&learn, labels[i]);
    }
    while (net_learn_step(&learn) > 0)
        continue;
    if (calls < 100 || memcmp(end, memory.state, sizeof end) != 0)
        return 3;
    if (memcmp(&alone.session.report, &learn.session.report, sizeof report) != 0)
        return 4;
    puts("refused");
    return 0;
}
"""
)

# A saved state that is not this model's, or not whole.
SAVED = (
    START
    + """
static int right(void)
{
    int found = 0;

    for (int i = 0; i < TAUGHT; i++) {
        const int8_t *out;
        int best = 0;

        infer(i);
        out = net_output(&net);
        for (int c = 1; c < NET_OUTPUT_LEN; c++)
            if (out[c] > out[best])
                best = c;
        found += best == labels[i];
    }
    return found;
}

int main(void)
{
    static uint8_t whole[NET_SAVED_STATE_BYTES], region[NET_STATE_BYTES];
    int taught_right;

    begin();
    for (int i = 0; i < TAUGHT; i++) {
        infer(i);
        (void)net_learn_add(&learn, labels[i]);
    }
    while (net_learn_step(&learn) > 0)
        continue;
    taught_right = right();
    GIVES(net_learn_save(&learn, whole, sizeof whole - 1), DRIFTC_STATE_SIZE);
    GIVES(net_learn_save(&learn, whole, 0), DRIFTC_STATE_SIZE);
    GIVES(net_learn_save(&learn, whole, sizeof whole), DRIFTC_STATE_OK);
    memcpy(region, memory.state, sizeof region);
    begin();
    /* Every bit of every byte. */
    for (size_t i = 0; i < sizeof whole; i++)
        for (int bit = 0; bit < 8; bit++) {
            const int wanted = i < 4 ? DRIFTC_STATE_MAGIC : i < 8 ? DRIFTC_STATE_FORMAT_UNKNOWN :
                               i < 16 ? DRIFTC_STATE_MODEL : i < 20 ? DRIFTC_STATE_LENGTH : DRIFTC_STATE_CRC;

            whole[i] ^= (uint8_t)(1 << bit);
            GIVES(net_learn_load(&learn, whole, sizeof whole), wanted);
            whole[i] ^= (uint8_t)(1 << bit);
        }
    /* Cut off at every byte. */
    for (size_t size = 0; size < sizeof whole; size++)
        GIVES(net_learn_load(&learn, whole, size), DRIFTC_STATE_SIZE);
    if (net_learn_load(&learn, whole, sizeof whole) != DRIFTC_STATE_OK)
        return 3;
    if (memcmp(region, memory.state, sizeof region) != 0)
        return 5;
    /* The sample before is gone, what was learnt is there. */
    GIVES(net_learn_add(&learn, 0), DRIFTC_LEARN_NO_SAMPLE);
    if (right() != taught_right)
        return 4;
    puts("refused");
    return 0;
}
"""
)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("program", "flags"),
    [(REFUSALS, ()), (WITHIN, ("-DNET_HOOK", "-DNET_BACKWARD_HOOK")), (SAVED, ())],
    ids=["refusals", "within", "saved"],
)
def test_what_is_refused(tmp_path: Path, method: str, program: str, flags: tuple[str, ...]) -> None:
    options: dict[str, Any] = {"learn_passes": 2} if method == "classifier" else {}
    learning(tmp_path, learn=method, learn_store=13 * 30, **options).write(tmp_path / "net")
    taught = samples(24, 2, first=4)
    rows = ", ".join(str(value) for value in taught["x"].reshape(-1))
    (tmp_path / "taught.h").write_text(
        f"#define TAUGHT 24\n#define TRAINS {int(method == 'classifier')}\n"
        f"static const int8_t taught[] = {{ {rows} }};\n"
        f"static const int8_t labels[] = {{ {', '.join(map(str, taught['y']))} }};\n"
    )
    (tmp_path / "main.c").write_text(program)
    sources = ["main.c", *(f"net/{name}.c" for name in ("net", "net_learn", "net_backward"))]
    sanitized = SANITIZED if host_compiler().kind != "zig" else ()
    unused = ("-Wno-unused-const-variable", "-Wno-unused-variable", "-Wno-unused-function")
    assert run_c(tmp_path, sources, "-Inet", *STRICT, *unused, *sanitized, *flags) == "refused\n"


@pytest.mark.parametrize("method", METHODS)
def test_one_class_where_nothing_of_others_is_known(tmp_path: Path, method: str) -> None:
    """The classifier would forget what it has no reference of; class means forget nothing."""
    (tmp_path / "net.tflite").write_bytes(classifier())
    known = samples(60, 4)
    only = known["y"] == 2
    np.savez(tmp_path / "known.npz", x=known["x"][only], y=known["y"][only])
    found = driftc.compile(tmp_path / "net.tflite", calibrate=tmp_path / "known.npz", learn=method, measure=False)
    assert found.lowered.learned is not None
    learner = found.lowered.learned.learner()
    for _ in range(3):
        learner.infer(np.zeros(12, np.int8))
        assert learner.add(2) == codes.OK
    before = {name: value.copy() for name, value in learner.values.items()}
    status = learner.step()
    if method == "classifier":
        assert status == codes.ONE_CLASS
        assert all(np.array_equal(learner.values[name], value) for name, value in before.items())
    else:
        assert status > 0
