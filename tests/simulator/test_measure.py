"""Code size and the stack bound, from what the compilers leave behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from toy_model import SOURCE, toy_samples, write_toy

from driftc.boards.cores import load_core
from driftc.codegen.errors import ToolError
from driftc.simulator.engine import Target
from driftc.simulator.instructions import classify
from driftc.simulator.measure import measure
from driftc.simulator.qemu import QemuEngine
from driftc.simulator.toolchain import CROSS_GCC, zig_compiler

CORES = ["cortex-m0plus", "cortex-m4", "rv32imc"]


def target(core: str, cc: str, optimize: str = "2") -> Target:
    gcc = CROSS_GCC[load_core(core).port]
    if cc != "zig" and shutil.which(gcc) is None:
        pytest.skip(f"{gcc} is not installed")
    if cc == "clang" and shutil.which(cc) is None:
        pytest.skip("clang is not installed")
    if cc == "zig" and zig_compiler() is None:
        pytest.skip("ziglang is not installed")
    return Target(core, cc, optimize)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("cc", ["gcc", "clang", pytest.param("zig", marks=pytest.mark.slow)])
@pytest.mark.parametrize("optimize", ["2", "3", "s"])
def test_bound_holds(tmp_path: Path, core: str, cc: str, optimize: str) -> None:
    program = write_toy(tmp_path, target=target(core, cc, optimize))
    if reason := QemuEngine().missing_for(core):
        pytest.skip(reason)
    found = measure(program)
    peak = max(sample.stack_peak or 0 for sample in QemuEngine(timeout=60).run(program, toy_samples(3), trace=False))
    assert 0 < peak <= found.stack_bytes <= peak + 64  # the toy is small enough for the bound to be tight
    assert found.code_bytes > 300
    assert found.constant_bytes >= 4 * 72
    assert (found.compiler, found.core) == (cc, core)
    assert f"-O{optimize}" in found.flags


def test_large_frame_is_in_the_bound(tmp_path: Path) -> None:
    big = SOURCE.replace("    int32_t sums[4];", "    volatile int8_t pad[3000]; pad[0] = 0;\n    int32_t sums[4];")
    program = write_toy(tmp_path, source=big, target=target("cortex-m0plus", "gcc"))
    assert 3000 < measure(program).stack_bytes < 3200


def test_calls_through_pointers_are_followed(tmp_path: Path) -> None:
    """A step table as a generator might emit: the deepest function is reached through it alone."""
    table = SOURCE.replace(
        "int toy_step(toy_t *toy)",
        "__attribute__((noinline)) static void deep(void)\n{\n    volatile int8_t pad[2000]; pad[0] = 0;\n}\n"
        "__attribute__((noinline)) static void flat(void) { __asm__ volatile(\"\"); }\n"
        "static void (*const table[2])(void) = {deep, flat};\n\nint toy_step(toy_t *toy)",
    ).replace("    toy->next = (toy->next", "    table[toy->next & 1]();\n    toy->next = (toy->next")  # fmt: skip
    for core in CORES:
        program = write_toy(tmp_path / core, source=table, target=target(core, "gcc"))
        assert measure(program).stack_bytes > 2000, core


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("direct", [True, False])
def test_recursion_has_no_bound(tmp_path: Path, core: str, direct: bool) -> None:
    body = (
        "__attribute__((noinline)) static int self(volatile int *n) { return (*n)-- > 0 ? self(n) / 3 ^ *n : 0; }\n"
        if direct
        else "static int other(volatile int *n);\n"
        "__attribute__((noinline)) static int self(volatile int *n) { return (*n)-- > 0 ? other(n) + *n : 0; }\n"
        "__attribute__((noinline)) static int other(volatile int *n) { return (*n)-- > 0 ? self(n) * *n : 0; }\n"
    )
    source = SOURCE.replace("static void dense(", body + "\nstatic void dense(").replace(
        "    int32_t sums[4];",
        "    volatile int depth = in[0];\n    out[0] = (int8_t)self(&depth);\n    int32_t sums[4];",
    )
    program = write_toy(tmp_path, source=source, target=target(core, "gcc"))
    with pytest.raises(ToolError, match=r"the stack has no bound: .* is recursive"):
        measure(program)


def test_variable_frames_have_no_bound(tmp_path: Path) -> None:
    source = SOURCE.replace(
        "    int32_t sums[4];", "    volatile char pad[in[0] + 200]; pad[0] = 0;\n    int32_t sums[4];"
    )
    program = write_toy(tmp_path, source=source, target=target("cortex-m4", "gcc"))
    with pytest.raises(ToolError, match="takes what it needs at run time"):
        measure(program)


@pytest.mark.parametrize(
    ("mnemonic", "name"),
    [
        ("b", "branch"), ("beq", "branch"), ("bl", "branch"), ("bic", "arithmetic"), ("cbz", "branch"),
        ("smlad", "multiply-accumulate"), ("mls", "multiply-accumulate"), ("smull", "multiply"), ("muls", "multiply"),
        ("ldrsb", "load"), ("pop", "load"), ("strd", "store"), ("sxtb16", "simd"), ("ssat", "saturate"),
        ("ssat16", "simd"), ("vadd.f32", "float"), ("adds", "arithmetic"), ("sdiv", "divide"), ("cmp", "compare"),
        ("ite", "compare"), ("uxtb", "move"),
    ],
)  # fmt: skip
def test_classes(mnemonic: str, name: str) -> None:
    assert classify(mnemonic) == name
