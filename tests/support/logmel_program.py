"""firmware/driftc_logmel.h as a program of one step, which every engine runs: int16 samples to int16 features."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import logmel
import numpy as np

from driftc.simulator.engine import Port, Program, Target

HEADER = """\
#include "driftc_logmel.h"

#define FRAMES {frames}
#define SAMPLES {samples}
#define LOGMEL_STEPS 1
typedef struct {{ int16_t *samples; int16_t *features; }} logmel_t;
typedef struct {{ void *ram0; }} logmel_memory_t;
#define LOGMEL_STATIC_MEMORY(memory) \\
    static int16_t memory##_ram0[SAMPLES + FRAMES * DRIFTC_LOGMEL_BANDS]; \\
    static const logmel_memory_t memory = {{ memory##_ram0 }}

int logmel_init(logmel_t *logmel, const logmel_memory_t *memory);
int logmel_step(logmel_t *logmel);
void logmel_invoke(logmel_t *logmel);
"""
SOURCE = """\
#include "logmel.h"

int logmel_init(logmel_t *logmel, const logmel_memory_t *memory)
{
    logmel->samples = memory->ram0;
    logmel->features = logmel->samples + SAMPLES;
    return 0;
}

int logmel_step(logmel_t *logmel)
{
    const int16_t *from = logmel->samples;
    int16_t *to = logmel->features;
    driftc_logmel_t work;

    for (int frame = 0; frame < FRAMES; frame++, from += DRIFTC_LOGMEL_HOP, to += DRIFTC_LOGMEL_BANDS)
        driftc_logmel(&work, from, to);
    return 0;
}

void logmel_invoke(logmel_t *logmel)
{
    (void)logmel_step(logmel);
}
"""
MODEL = """\
#include "../logmel.h"
typedef logmel_t model_t;
typedef logmel_memory_t model_memory_t;
#define MODEL_STATIC_MEMORY LOGMEL_STATIC_MEMORY
#define model_init logmel_init
#define model_step logmel_step
#define model_invoke logmel_invoke
#define MODEL_STEPS LOGMEL_STEPS
static inline int16_t *model_samples(model_t *model) { return model->samples; }
static inline int16_t *model_features(model_t *model) { return model->features; }
#define MODEL_INPUTS(X) X(model_samples, 2 * SAMPLES)
#define MODEL_OUTPUTS(X) X(model_features, 2 * FRAMES * DRIFTC_LOGMEL_BANDS)
"""


def logmel_program(folder: Path, bands: int, core: str = "cortex-m4") -> Program:
    """Of `logmel.SAMPLES` samples; `core` is what emulators run it on."""
    firmware = Path(str(files("driftc"))) / "firmware"
    shutil.copytree(firmware / "ports", folder / "simulator")
    for name in ("driftc.h", "driftc_logmel.h"):
        shutil.copy(firmware / name, folder)
    (folder / "driftc_logmel_tables.h").write_text(logmel.tables(bands))
    (folder / "logmel.h").write_text(HEADER.format(frames=logmel.FRAMES, samples=logmel.SAMPLES))
    (folder / "logmel.c").write_text(SOURCE)
    (folder / "simulator" / "model.h").write_text(MODEL)
    int16 = np.dtype(np.int16)
    inputs = (Port("sound", (1, logmel.SAMPLES), int16),)
    outputs = (Port("features", (1, logmel.FRAMES, bands), int16),)
    return Program(folder, "logmel", inputs, outputs, (), ("logmel",), Target(core))
