"""Programs around generated models: how they are compiled, and what they print."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from commands import c_compiler, run_c
from models import keyword_model

from driftc.codegen.lower import lower
from driftc.codegen.options import Options
from driftc.simulator.reference import run_graph

STRICT = ("-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")
SANITIZE = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
ONE = """
#include "kws.h"
#include <stdio.h>
KWS_STATIC_MEMORY(memory);
int main(void)
{
    kws_t kws;
    const int8_t *out;
    if (kws_init(&kws, &memory) != 0)
        return 1;
    for (int i = 0; i < KWS_INPUT_LEN; i++)
        kws_input(&kws)[i] = (int8_t)(i * 7 % 251 - 125);
    @RUN@
    for (int i = 0; i < KWS_OUTPUT_LEN; i++)
        printf("%d ", out[i]);
    return 0;
}
"""

SELFTEST = """
#include "kws.h"
#include <stdio.h>
KWS_STATIC_MEMORY(memory);
int main(void)
{
    kws_t kws;
    if (kws_init(&kws, &memory) != 0)
        return 1;
    printf("%d", kws_selftest(&kws));
    return 0;
}
"""


def sanitizing() -> tuple[str, ...]:
    """The flags; the test skips where the compiler has no sanitizers."""
    if c_compiler().kind == "zig":
        pytest.skip("zig has no AddressSanitizer; install gcc or clang")
    return SANITIZE


def program(folder: Path, text: str, *flags: str, sources: tuple[str, ...] = ("kws/kws.c",)) -> str:
    """Compile `text` with the models' sources and give what it prints."""
    (folder / "main.c").write_text(text)
    return run_c(folder, ["main.c", *sources], "-Ikws", "-Iic", *flags)


def expected(name: str = "kws", model: bytes = b"") -> list[int]:
    """What the specification gives for the input that the programs here write."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.tflite"
        path.write_bytes(model or keyword_model(channels=8))
        graph = lower(path, Options()).graph
    shape = graph.inputs[0].shape
    data = (np.arange(np.prod(shape)) * 7 % 251 - 125).astype(np.int8).reshape(shape)
    return [int(value) for value in run_graph(graph, [data])[graph.outputs[0].name].reshape(-1)]
