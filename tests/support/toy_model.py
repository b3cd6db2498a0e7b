"""A compiled folder written by hand: the documented C interface without the code generator.

Three steps over a 6 x 4 x 2 input: `mix` (pointwise, 2 -> 3 channels, shown to the hook in bands of rows and slices of
channels), `scale` (divides by a number known at run time only, so that small cores call a library), `dense` (72 -> 4).
"""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np

from driftc.simulator.engine import Array, Layer, Port, Program, Target

HEADER = """\
#ifndef TOY_H
#define TOY_H
#include <stdint.h>

#define TOY_RAM0_BYTES 192
#define TOY_RAM0_ALIGN 16
#define TOY_STEPS 3
#define TOY_INPUT_BYTES 48
#define TOY_OUTPUT_BYTES 4

typedef struct { void *ram0; } toy_memory_t;
#ifdef TOY_HOOK
typedef void (*toy_hook_t)(void *user, int layer, const void *data, int row0, int rows, int pixel0, int pixels,
                           int channel0, int channels, int pixel_stride);
#endif
typedef struct {
    int8_t *ram0;
    int next;
#ifdef TOY_HOOK
    toy_hook_t hook;
    void *hook_user;
#endif
} toy_t;

#define TOY_STATIC_MEMORY(memory) \\
    static _Alignas(TOY_RAM0_ALIGN) int8_t memory##_ram0[TOY_RAM0_BYTES]; \\
    static const toy_memory_t memory = {memory##_ram0}

int toy_init(toy_t *toy, const toy_memory_t *memory);
int8_t *toy_input(toy_t *toy);
const int8_t *toy_output(const toy_t *toy);
const int8_t *toy_invoke(toy_t *toy);
int toy_step(toy_t *toy);
#ifdef TOY_HOOK
void toy_set_hook(toy_t *toy, toy_hook_t hook, void *user);
#endif
#endif
"""

SOURCE = """\
#include "toy.h"
#include <stddef.h>
#include <string.h>

/* Arena: the input at 0 (48 bytes), mix at 48 (72), scale in place, the output at 120. */
#ifdef TOY_HOOK
#define SHOW(...) do { if (toy->hook) toy->hook(toy->hook_user, __VA_ARGS__); } while (0)
#else
#define SHOW(...) ((void)toy)
#endif

static const int8_t mix_weights[3][2] = {{3, -2}, {1, 5}, {-4, 2}};
static const int32_t dense_bias[4] = {100, -200, 300, -400};
static const int8_t dense_weights[4][72] = {@WEIGHTS@};

static int8_t clamp(int32_t value)
{
    return (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
}

static void mix(toy_t *toy, const int8_t *in, int8_t *out)
{
    for (int row = 0; row < 6; row++) {
        for (int i = 0; i < 4; i++) {
            const int8_t *pixel = in + (row * 4 + i) * 2;
            for (int c = 0; c < 3; c++)
                out[(row * 4 + i) * 3 + c] = clamp((pixel[0] * mix_weights[c][0] + pixel[1] * mix_weights[c][1]) >> 2);
        }
    }
    SHOW(0, out, 0, 4, 0, 4, 0, 3, 3);
    SHOW(0, out + 4 * 4 * 3, 4, 2, 0, 4, 0, 1, 3);
    SHOW(0, out + 4 * 4 * 3 + 1, 4, 2, 0, 4, 1, 2, 3);
}

static void scale(toy_t *toy, int8_t *data)
{
    int32_t divisor = 1 + (data[0] & 7);
    for (int i = 0; i < 72; i++)
        data[i] = (int8_t)(data[i] / divisor);
    SHOW(1, data, 0, 6, 0, 4, 0, 3, 3);
}

static void dense(toy_t *toy, const int8_t *in, int8_t *out)
{
    int32_t sums[4];
    memcpy(sums, dense_bias, sizeof sums);
    for (int o = 0; o < 4; o++)
        for (int i = 0; i < 72; i++)
            sums[o] += in[i] * dense_weights[o][i];
    for (int o = 0; o < 4; o++)
        out[o] = clamp(sums[o] >> 5);
    SHOW(2, out, 0, 1, 0, 1, 0, 4, 4);
}

int toy_init(toy_t *toy, const toy_memory_t *memory)
{
    if (memory->ram0 == NULL || (uintptr_t)memory->ram0 % TOY_RAM0_ALIGN != 0)
        return 1;
    memset(toy, 0, sizeof *toy);
    toy->ram0 = memory->ram0;
    return 0;
}

int8_t *toy_input(toy_t *toy) { return toy->ram0; }
const int8_t *toy_output(const toy_t *toy) { return toy->ram0 + 120; }

int toy_step(toy_t *toy)
{
    switch (toy->next) {
    case 0: mix(toy, toy->ram0, toy->ram0 + 48); break;
    case 1: scale(toy, toy->ram0 + 48); break;
    default: dense(toy, toy->ram0 + 48, toy->ram0 + 120); break;
    }
    toy->next = (toy->next + 1) % TOY_STEPS;
    return toy->next == 0 ? 0 : TOY_STEPS - toy->next;
}

const int8_t *toy_invoke(toy_t *toy)
{
    mix(toy, toy->ram0, toy->ram0 + 48);
    scale(toy, toy->ram0 + 48);
    dense(toy, toy->ram0 + 48, toy->ram0 + 120);
    return toy->ram0 + 120;
}

#ifdef TOY_HOOK
void toy_set_hook(toy_t *toy, toy_hook_t hook, void *user)
{
    toy->hook = hook;
    toy->hook_user = user;
}
#endif
"""

MODEL_H = """\
#include "../toy.h"
typedef toy_t model_t;
typedef toy_memory_t model_memory_t;
#define MODEL_STATIC_MEMORY TOY_STATIC_MEMORY
#define model_init toy_init
#define model_step toy_step
#define model_invoke toy_invoke
#define MODEL_STEPS TOY_STEPS
#define MODEL_NAME "toy"
#define MODEL_ID 0x74, 0x6F, 0x79, 0x00, 0x01, 0x02, 0x03, 0x7E
#define MODEL_LAYERS 3
#ifdef MODEL_HOOK
#define model_set_hook toy_set_hook
#endif
#define MODEL_INPUTS(X) X(toy_input, TOY_INPUT_BYTES)
#define MODEL_OUTPUTS(X) X(toy_output, TOY_OUTPUT_BYTES)
#define MODEL_INPUT toy_input
#define MODEL_INPUT_TYPE int8_t
#define MODEL_INPUT_LEN TOY_INPUT_BYTES
#define MODEL_INPUT_SCALE 0.5f
#define MODEL_INPUT_ZERO (-3)
#define MODEL_INPUT_OFFSET 128
#define MODEL_OUTPUT toy_output
#define MODEL_OUTPUT_LEN TOY_INPUT_BYTES /* not so: mlperf.c is only compiled with it */
#define MODEL_OUTPUT_SCALE 0.25f
#define MODEL_OUTPUT_ZERO 4
static const int32_t model_elements[MODEL_LAYERS] = {1, 1, 1};
"""

WEIGHTS = np.random.default_rng(7).integers(-128, 128, (4, 72), dtype=np.int8)


def write_toy(folder: Path, *, source: str = SOURCE, target: Target | None = None) -> Program:
    """The toy in `folder`; `source` may be a broken variant of it."""
    rows = ", ".join("{" + ", ".join(map(str, row)) + "}" for row in WEIGHTS.tolist())
    ports = Path(str(files("driftc"))) / "firmware" / "ports"
    shutil.copytree(ports, folder / "simulator", dirs_exist_ok=True)
    (folder / "toy.h").write_text(HEADER)
    (folder / "toy.c").write_text(source.replace("@WEIGHTS@", rows))
    (folder / "simulator" / "model.h").write_text(MODEL_H)
    int8 = np.dtype(np.int8)
    return Program(
        folder=folder,
        name="toy",
        inputs=(Port("x", (1, 6, 4, 2), int8),),
        outputs=(Port("y", (1, 4), int8),),
        layers=(Layer("mix", (6, 4, 3), int8), Layer("scale", (6, 4, 3), int8), Layer("dense", (1, 1, 4), int8)),
        steps=("mix", "scale", "dense"),
        target=target or Target(),
    )


def toy_samples(count: int, seed: int = 0) -> list[tuple[Array]]:
    random = np.random.default_rng(seed)
    return [(random.integers(-128, 128, (1, 6, 4, 2), dtype=np.int8),) for _ in range(count)]


def toy_reference(x: Array) -> list[Array]:
    """What each layer must give."""
    mixed = np.clip((x[0].astype(int) @ np.array([[3, 1, -4], [-2, 5, 2]])) >> 2, -128, 127)
    divisor = 1 + (int(mixed[0, 0, 0]) & 7)
    scaled = np.sign(mixed) * (np.abs(mixed) // divisor)
    sums = WEIGHTS.astype(int) @ scaled.reshape(72) + np.array([100, -200, 300, -400])
    dense = np.clip(sums >> 5, -128, 127).reshape(1, 1, 4)
    return [layer.astype(np.int8) for layer in (mixed, scaled, dense)]
