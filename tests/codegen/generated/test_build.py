"""How generated C is built: CMake, C++, versions, sections, float borders."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from commands import c_compiler, driftc
from generated import SELFTEST
from models import ModelBuilder, autoencoder_model

from driftc.codegen.compiled import Compiled
from driftc.simulator.engines import engine


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
