"""The C as its user meets it: programs around the generated folder, compiled with this machine's compiler and run."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from commands import c_compiler, driftc, run_c
from models import ModelBuilder, autoencoder_model, keyword_model, residual_model

from driftc.codegen.compiled import Compiled
from driftc.codegen.lower import lower
from driftc.codegen.options import Options
from driftc.codegen.samples import quantize
from driftc.simulator.engines import engine
from driftc.simulator.reference import run_graph

STRICT = ("-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")
SANITIZE = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def sanitizing() -> tuple[str, ...]:
    """The flags; the test skips where the compiler has no sanitizers."""
    if c_compiler().kind == "zig":
        pytest.skip("zig has no AddressSanitizer; install gcc or clang")
    return SANITIZE


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """kws/ with float i/o, and ic/: two models side by side."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "kws.tflite").write_bytes(keyword_model(channels=8))
    (folder / "ic.tflite").write_bytes(residual_model())
    driftc("compile", "kws.tflite", "--no-measure", "--float-io", cwd=folder)
    driftc("compile", "ic.tflite", "--no-measure", cwd=folder)
    return folder


@pytest.fixture
def own(models: Path, tmp_path: Path) -> Path:
    shutil.copytree(models, tmp_path, dirs_exist_ok=True)
    return tmp_path


def program(folder: Path, text: str, *flags: str, sources: tuple[str, ...] = ("kws/kws.c",)) -> str:
    """Compile `text` with the models' sources and give what it prints."""
    (folder / "main.c").write_text(text)
    return run_c(folder, ["main.c", *sources], "-Ikws", "-Iic", *flags)


# --- one model ---

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


def expected(name: str = "kws", model: bytes = b"") -> list[int]:
    """What the specification gives for the input that the programs here write."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.tflite"
        path.write_bytes(model or keyword_model(channels=8))
        graph = lower(path, Options()).graph
    shape = graph.inputs[0].shape
    data = (np.arange(np.prod(shape)) * 7 % 251 - 125).astype(np.int8).reshape(shape)
    return [int(value) for value in run_graph(graph, [data])[graph.outputs[0].name].reshape(-1)]


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


# --- the self-test ---

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
SELFTEST_FLAGS = ("-DKWS_SELFTEST", "-DKWS_HOOK", *STRICT)
SELFTEST_SOURCES = ("kws/kws.c", "kws/kws_selftest.c")


def test_selftest_passes(own: Path) -> None:
    assert program(own, SELFTEST, *SELFTEST_FLAGS, sources=SELFTEST_SOURCES) == "0"


@pytest.mark.parametrize(("layer", "code"), [("conv", 1), ("pointwise_2", 5), ("dense", 9)])
def test_selftest_finds_a_corrupted_weight(own: Path, layer: str, code: int) -> None:
    """One bit of one weight; the code is 1 + the first layer that it reaches."""
    weights = own / "kws" / "kws_weights.h"
    text = weights.read_text()
    array = re.search(rf"{layer}_(twins|weights)\[[^=]*= \{{.*\n", text)  # by a dsp or by a portable kernel
    assert array is not None
    number = re.compile(r"-?\d+").search(text, array.end())
    assert number is not None
    weights.write_text(text[: number.start()] + str(int(number[0]) ^ 0x40) + text[number.end() :])
    assert program(own, SELFTEST, *SELFTEST_FLAGS, sources=SELFTEST_SOURCES) == str(code)


def test_selftest_compiles_to_nothing_without_its_macro(own: Path) -> None:
    printed = program(own, ONE.replace("@RUN@", "out = kws_invoke(&kws);"), *STRICT, sources=SELFTEST_SOURCES)
    assert [int(word) for word in printed.split()] == expected()


# --- two models in one program ---

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


# --- how it is built ---


def test_cmake_project_with_selftest(own: Path) -> None:
    """A program that adds the folder as a subdirectory; and the folder by itself, with its host program."""
    c_compiler()
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed; Debian: apt-get install cmake")
    (own / "main.c").write_text(SELFTEST)
    (own / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.13)\nproject(app C)\nadd_subdirectory(kws)\n"
        "add_executable(app main.c)\ntarget_link_libraries(app PRIVATE kws)\n"
    )
    for source, options in ((own, ["-DKWS_SELFTEST=ON"]), (own / "ic", [])):
        build = source / "build"
        subprocess.run(["cmake", "-S", source, "-B", build, *options], check=True, capture_output=True)
        subprocess.run(["cmake", "--build", build], check=True, capture_output=True)
    assert subprocess.run([own / "build" / "app"], check=True, capture_output=True, text=True).stdout == "0"
    host = subprocess.run([own / "ic" / "build" / "ic_host"], input=bytes(4), check=True, capture_output=True)
    assert host.stdout == b""  # it was asked for no sample


def test_header_is_fit_for_cpp(own: Path) -> None:
    compiler = c_compiler()
    if compiler.kind == "zig":
        pytest.skip("needs a C++ compiler beside the system's C compiler")
    (own / "main.cpp").write_text(
        '#include "kws.h"\n#include "kws_float_io.h"\nKWS_STATIC_MEMORY(memory);\n'
        "int main() { kws_t kws; return kws_init(&kws, &memory); }\n"
    )
    compiler.run(["-x", "c++", "-Ikws", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "main.cpp"], own)


def test_other_version_of_the_header_is_an_error(own: Path) -> None:
    header = own / "kws" / "driftc.h"
    header.write_text(re.sub(r"(#define DRIFTC_VERSION) \d+", r"\1 1", header.read_text()))
    compiler = c_compiler()
    done = subprocess.run([*compiler.command, "-fsyntax-only", "kws/kws.c"], cwd=own, capture_output=True, text=True)
    assert done.returncode != 0
    assert "driftc.h is of another version than kws.c: copy both from the same driftc" in done.stderr


def test_constants_go_where_the_section_macro_says(own: Path) -> None:
    compiler = c_compiler()
    if compiler.kind == "zig" or shutil.which("readelf") is None:
        pytest.skip("needs a system compiler and readelf")
    section = '-DKWS_CONST=__attribute__((section(".external_flash")))'
    compiler.run(["-std=c11", "-c", section, "kws/kws.c", "-o", "kws.o"], own)
    done = subprocess.run(["readelf", "-SW", "kws.o"], cwd=own, capture_output=True, text=True, check=True)
    size = re.search(r"\.external_flash\s+PROGBITS\s+\w+\s+\w+\s+(\w+)", done.stdout)
    assert size is not None
    constants = Compiled.load(own / "kws").report["flash"]["constants"]
    assert constants <= int(size[1], 16) < constants + 64  # alignment between arrays


def test_float_border_of_the_model_becomes_functions(tmp_path: Path) -> None:
    """A model that takes and gives float has its int8 core in NAME.c and the border in a file of its own."""
    builder = ModelBuilder()
    x = builder.input("x", (1, 8), dtype=np.float32)
    y = builder.quantize(x, out_scale=0.1, out_zero_point=3)
    y = builder.fully_connected(y, np.eye(8, dtype=np.int8) * 64, weight_scale=0.02, out_scale=0.2)
    builder.output(builder.dequantize(y))
    (tmp_path / "m.tflite").write_bytes(builder.build())
    driftc("compile", "m.tflite", "--no-measure", cwd=tmp_path)
    header = (tmp_path / "m" / "m_float_io.h").read_text()
    assert "void m_quantize_input(int8_t *quantized, const float *real);" in header
    assert "void m_dequantize_output(float *real, const int8_t *quantized);" in header
    assert "float" not in (tmp_path / "m" / "m.c").read_text().replace("float_io", "")


def test_float_io_of_a_model_that_takes_indices(tmp_path: Path) -> None:
    """Indices have no real values: nothing is made for them, and what is made for the output is verified."""
    if (absent := engine("host").missing()) is not None:
        pytest.skip(absent)
    builder = ModelBuilder()
    indices = builder.input("words", (1, 3), dtype=np.int32)
    table = builder.constant(np.arange(-20, 20, dtype=np.int8).reshape(10, 4), scale=0.1)
    builder.output(builder.gather(table, indices))
    (tmp_path / "m.tflite").write_bytes(builder.build())
    driftc("compile", "m.tflite", "--no-measure", "--float-io", cwd=tmp_path)
    header = (tmp_path / "m" / "m_float_io.h").read_text()
    assert "m_dequantize_output" in header
    assert "m_quantize" not in header
    assert "bit-exact" in driftc("verify", "m", "--engine", "host", "--random", "1", cwd=tmp_path).stdout


def test_autoencoder_needs_no_start_up_work(tmp_path: Path) -> None:
    """The folder's C has no mutable globals: nothing in .data or .bss, so nothing to set up."""
    compiler = c_compiler()
    if compiler.kind == "zig" or shutil.which("size") is None:
        pytest.skip("needs a system compiler and size")
    (tmp_path / "ad.tflite").write_bytes(autoencoder_model())
    driftc("compile", "ad.tflite", "--no-measure", cwd=tmp_path)
    compiler.run(["-std=c11", "-O2", "-fno-pie", "-c", "ad/ad.c", "-o", "ad.o"], tmp_path)
    done = subprocess.run(["size", "ad.o"], cwd=tmp_path, capture_output=True, text=True, check=True)
    _, data, bss, *_ = done.stdout.splitlines()[1].split()
    assert (data, bss) == ("0", "0")
