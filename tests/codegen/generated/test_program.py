"""The C as its user meets it: programs around the generated folder, compiled with this machine's compiler and run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from commands import driftc, run_c
from generated import ONE, STRICT, expected, program, sanitizing
from models import ModelBuilder, residual_model

from driftc.codegen.compiled import Compiled
from driftc.codegen.samples import quantize
from driftc.simulator.reference import run_graph


def test_invoke(own: Path) -> None:
    printed = program(own, ONE.replace("@RUN@", "out = kws_invoke(&kws);"), *STRICT)
    assert [int(word) for word in printed.split()] == expected()


def test_step_counts_down_and_starts_anew(own: Path) -> None:
    run = """
    for (int turn = 0; turn < 2; turn++) {
        for (int i = 0; i < KWS_INPUT_LEN; i++)
            kws_input(&kws)[i] = (int8_t)(i * 7 % 251 - 125);
        for (int left = KWS_STEPS - 1; left > 0; left--)
            if (kws_step(&kws) != left)
                return 2;
        if (kws_step(&kws) != 0)
            return 3;
    }
    out = kws_output(&kws);"""
    printed = program(own, ONE.replace("@RUN@", run), *STRICT)
    assert [int(word) for word in printed.split()] == expected()


def test_init_refuses_memory_that_is_missing_or_misaligned(own: Path) -> None:
    text = """
    #include "kws.h"
    #include <stdio.h>
    KWS_STATIC_MEMORY(memory);
    int main(void)
    {
        kws_t kws;
        const kws_memory_t none = { 0 };
        const kws_memory_t odd = { (int8_t *)memory.ram0 + 1 };
        printf("%d %d %d", kws_init(&kws, &memory) == 0, kws_init(&kws, &none) != 0, kws_init(&kws, &odd) != 0);
        return 0;
    }
    """
    assert program(own, text, *STRICT) == "1 1 1"


def test_contexts_are_independent(own: Path) -> None:
    """Two contexts of one model, layer by layer in turn: what another task does between two steps is not seen."""
    text = """
    #include "kws.h"
    #include <stdio.h>
    KWS_STATIC_MEMORY(first_memory);
    KWS_STATIC_MEMORY(second_memory);
    int main(void)
    {
        kws_t first, second;
        int left;
        if (kws_init(&first, &first_memory) != 0 || kws_init(&second, &second_memory) != 0)
            return 1;
        for (int i = 0; i < KWS_INPUT_LEN; i++) {
            kws_input(&first)[i] = (int8_t)(i * 7 % 251 - 125);
            kws_input(&second)[i] = 17;
        }
        do {
            left = kws_step(&first);
            if (kws_step(&second) != left)
                return 2;
        } while (left > 0);
        for (int i = 0; i < KWS_OUTPUT_LEN; i++)
            printf("%d ", kws_output(&first)[i]);
        return 0;
    }
    """
    assert [int(word) for word in program(own, text, *STRICT).split()] == expected()


def test_float_io_rounds_as_the_specification(own: Path) -> None:
    compiled = Compiled.load(own / "kws")
    graph = compiled.lowered.graph
    tensor, out = graph.inputs[0], graph.outputs[0]
    random = np.random.default_rng(1)
    real = random.normal(scale=3 * tensor.scale * 128, size=tensor.shape).astype(np.float32)
    real.reshape(-1)[:8] = np.float32(tensor.scale) * np.array([0.5, -0.5, 1.5, -1.5, 127, -128, 4e8, -4e8], np.float32)
    values = run_graph(graph, [quantize(real, tensor)])[out.name]
    wanted = np.float32(out.scale) * (values.reshape(-1).astype(np.int32) - out.zero_point).astype(np.float32)
    (own / "real.h").write_text(", ".join(float(value).hex() + "f" for value in real.reshape(-1)))
    text = """
    #include "kws_float_io.h"
    #include <stdio.h>
    KWS_STATIC_MEMORY(memory);
    static const float real[KWS_INPUT_LEN] = {
    #include "real.h"
    };
    int main(void)
    {
        kws_t kws;
        float words[KWS_OUTPUT_LEN];
        if (kws_init(&kws, &memory) != 0)
            return 1;
        kws_invoke_float(&kws, real, words);
        for (int i = 0; i < KWS_OUTPUT_LEN; i++)
            printf("%a ", (double)words[i]);
        return 0;
    }
    """
    printed = program(own, text, *STRICT, sources=("kws/kws.c", "kws/kws_float_io.c"))
    assert [float.fromhex(word) for word in printed.split()] == [float(value) for value in wanted]


def test_several_inputs_and_outputs_by_name(tmp_path: Path) -> None:
    """Indices are int32, clamped to their table; each port has macros and an accessor of its own."""
    builder = ModelBuilder()
    table = builder.constant(np.arange(20, dtype=np.int8).reshape(10, 2), scale=0.1)
    rows = builder.gather(table, builder.input("token ids", (1, 2), dtype=np.int32))
    gain = builder.input("gain", (1, 1, 1), scale=1.0)
    scaled = builder.mul(rows, gain, out_scale=0.1)
    builder.output(*builder.split(scaled, 2, axis=1))
    (tmp_path / "m.tflite").write_bytes(builder.build())
    driftc("compile", "m.tflite", "--no-measure", cwd=tmp_path)
    header = (tmp_path / "m" / "m.h").read_text()
    outputs = re.findall(r"const int8_t \*(m_output_\w+)\(const m_t \*m\)", header)
    assert len(outputs) == 2
    text = f"""
    #include "m.h"
    #include <stdio.h>
    M_STATIC_MEMORY(memory);
    int main(void)
    {{
        m_t m;
        if (m_init(&m, &memory) != 0 || M_INPUT_TOKEN_IDS_LEN != 2 || M_INPUT_TOKEN_IDS_BYTES != 8)
            return 1;
        m_input_token_ids(&m)[0] = 3;
        m_input_token_ids(&m)[1] = 1000;
        m_input_gain(&m)[0] = 2;
        m_invoke(&m);
        for (int i = 0; i < 2; i++)
            printf("%d ", {outputs[0]}(&m)[i]);
        for (int i = 0; i < 2; i++)
            printf("%d ", {outputs[1]}(&m)[i]);
        return 0;
    }}
    """
    (tmp_path / "main.c").write_text(text)
    assert run_c(tmp_path, ["main.c", "m/m.c"], "-Im", *STRICT).split() == ["12", "14", "36", "38"]


TWO = """
#include "kws.h"
#include "ic.h"
#include <stdio.h>
#define MAX(a, b) ((a) > (b) ? (a) : (b))
static _Alignas(MAX(KWS_RAM0_ALIGN, IC_RAM0_ALIGN)) int8_t arena[MAX(KWS_RAM0_BYTES, IC_RAM0_BYTES)];
static void show(const int8_t *values, int count)
{
    for (int i = 0; i < count; i++)
        printf("%d ", values[i]);
    puts("");
}
int main(void)
{
    const kws_memory_t kws_memory = { arena };
    const ic_memory_t ic_memory = { arena };
    kws_t kws;
    ic_t ic;
    if (kws_init(&kws, &kws_memory) != 0 || ic_init(&ic, &ic_memory) != 0)
        return 1;
    for (int turn = 0; turn < 2; turn++) {
        for (int i = 0; i < KWS_INPUT_LEN; i++)
            kws_input(&kws)[i] = (int8_t)(i * 7 % 251 - 125);
        show(kws_invoke(&kws), KWS_OUTPUT_LEN);
        for (int i = 0; i < IC_INPUT_LEN; i++)
            ic_input(&ic)[i] = (int8_t)(i * 7 % 251 - 125);
        show(ic_invoke(&ic), IC_OUTPUT_LEN);
    }
    return 0;
}
"""


@pytest.mark.parametrize("sanitize", [False, True], ids=["plain", "sanitized"])
def test_two_models_share_an_arena(own: Path, sanitize: bool) -> None:
    flags = sanitizing() if sanitize else STRICT
    lines = program(own, TWO, *flags, sources=("kws/kws.c", "ic/ic.c")).splitlines()
    found = [[int(word) for word in line.split()] for line in lines]
    alone = [expected(), expected("ic", residual_model())]
    assert found == alone * 2
