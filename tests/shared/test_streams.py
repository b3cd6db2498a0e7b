"""Published models that keep a state: wake words, SVDF, LSTM. Their files are outside the repository."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from commands import run_c
from shared_data import shared_file

from driftc.codegen.api import compile
from driftc.codegen.compiled import Compiled
from driftc.codegen.plan.buffer import STATE
from driftc.simulator.engines import REFERENCES, engine, reference
from driftc.simulator.reference import PlanRun

pytestmark = pytest.mark.shared_data

WAKE_WORDS = ("micro_wake_word/v2_vad", "micro_wake_word/v2_alexa", "micro_wake_word/alexa")
MODELS = (*WAKE_WORDS, "tflm/trained_lstm_int8", "tflm/keyword_scrambled_8bit")
VAD = WAKE_WORDS[0]
CORES = {
    "cortex-m0plus": "unicorn",
    "cortex-m4": "unicorn",
    "cortex-m7": "unicorn",
    "cortex-m33": "unicorn",
    "cortex-m55": "qemu",
    "rv32imc": "qemu",
}


@cache
def compiled(model: str, core: str = "cortex-m4") -> Compiled:
    return compile(shared_file(f"extra_models/{model}.tflite"), measure=False, core=core)


def need(*names: str, core: str = "cortex-m4") -> list[str]:
    for name in names:
        absent = reference(name).missing() if name in REFERENCES else engine(name).missing_for(core)
        if absent is not None:
            pytest.skip(f"{name}: {absent}")
    return ["numpy", *names]


@pytest.mark.parametrize("model", MODELS)
def test_streams(model: str) -> None:
    """Every tensor of three sequences equals TFLite Micro's; the C on this machine is under ASan and UBSan."""
    found = compiled(model).verify(engines=need("tflm", "host"), random=24, restart="9", sanitize=True)
    assert found.first_difference is None, str(found.first_difference)
    assert found.engines == ["numpy", "host", "tflm"]
    assert len(found.compared) + len(found.fused) == found.total


@pytest.mark.parametrize("model", MODELS)
def test_litert_is_compared_or_left_out_by_name(model: str) -> None:
    """It crashes on some of them, and rounds SVDF and LSTM otherwise."""
    found = compiled(model).verify(engines=need("litert"), random=0)
    assert found.first_difference is None, str(found.first_difference)
    notes = " ".join(found.notes)
    assert "litert" in found.engines or "litert refuses the model, so it was not compared" in notes
    assert model in WAKE_WORDS or "litert was not compared at" in notes


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("model", [VAD, *MODELS[3:]])
def test_cores(model: str, core: str) -> None:
    found = compiled(model, core).verify(engines=need(CORES[core], core=core), random=4, restart="3")
    assert found.first_difference is None, str(found.first_difference)


def test_a_thousand_steps() -> None:
    found = compiled(VAD).verify(engines=need("tflm", "host"), random=997)
    assert found.first_difference is None, str(found.first_difference)
    assert found.samples == 1000


PROGRAM = """
#include "MODEL.h"

#include <stdio.h>
#include <string.h>

#define LEN MODEL_INPUT_BYTES

MODEL_STATIC_MEMORY(memory);
static MODEL_t model;
static uint8_t saved[MODEL_SAVED_STATE_BYTES];

static void run(int first, uint8_t *out)
{
    for (int step = first; step < first + 40; step++, out += MODEL_OUTPUT_BYTES) {
        uint8_t *input = (uint8_t *)MODEL_input(&model);

        for (int i = 0; i < LEN; i++)
            input[i] = (uint8_t)((step + 3) * (i + 7) * 37 >> 2);
        (void)MODEL_invoke(&model);
        memcpy(out, MODEL_output(&model), MODEL_OUTPUT_BYTES);
    }
}

int main(void)
{
    static uint8_t first[40 * MODEL_OUTPUT_BYTES], second[40 * MODEL_OUTPUT_BYTES], again[40 * MODEL_OUTPUT_BYTES];
    int found = MODEL_init(&model, &memory);

    run(0, first);
    found |= MODEL_save_state(&model, saved, sizeof saved);
    run(40, second);
    MODEL_reset(&model);
    run(0, again);
    printf("%d", memcmp(again, first, sizeof again) == 0);
    MODEL_reset(&model);
    found |= MODEL_load_state(&model, saved, sizeof saved);
    run(40, again);
    printf(" %d %d", memcmp(again, second, sizeof again) == 0, found);
    return 0;
}
"""


@pytest.mark.parametrize("model", MODELS)
def test_saved_and_loaded_in_the_middle(model: str, tmp_path: Path) -> None:
    found = compiled(model)
    found.write(tmp_path / "model")
    name = found.lowered.plan.name
    text = PROGRAM.replace("MODEL.h", f"{name}.h").replace("MODEL", name.upper())
    for word in ("t", "input", "output", "invoke", "init", "reset", "save_state", "load_state"):
        text = text.replace(f"{name.upper()}_{word}", f"{name}_{word}")
    (tmp_path / "main.c").write_text(text)
    assert run_c(tmp_path, ["main.c", f"model/{name}.c"], "-Imodel", "-O2") == "1 1 0"


@pytest.mark.parametrize("model", MODELS)
def test_saved_and_loaded_in_the_plan(model: str) -> None:
    found = compiled(model)
    samples = found.samples(random=9).quantized
    run = PlanRun(found.lowered.plan)
    first = [run.run(sample)[0] for sample in samples[:6]]
    kept = run.state
    second = [run.run(sample)[0] for sample in samples[6:]]
    run.reset()
    assert all(map(np.array_equal, first[0], run.run(samples[0])[0]))
    run.memory[STATE][:] = np.frombuffer(kept, np.uint8)
    again = [run.run(sample)[0] for sample in samples[6:]]
    assert all(np.array_equal(a, b) for x, y in zip(again, second, strict=True) for a, b in zip(x, y, strict=True))
