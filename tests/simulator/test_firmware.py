"""firmware/ports: clean under every compiler's warnings; memory.c against Python's own copies."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_model import write_toy

from driftc.boards.cores import core_names, load_core
from driftc.codegen.errors import ToolError
from driftc.simulator.program import BARE, port_files
from driftc.simulator.toolchain import Compiler, firmware_compiler, host_compiler

STRICT = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror"]
EMULATED = [name for name in core_names() if load_core(name).qemu is not None]  # the others have no program
UART = ["-DUART_BASE=0x40004000u", "-DUART_DIVIDER=16u", "-DUART_SETUP(X)=X(0x40023830u,0x0u,0x1u)"]
FLAVOURS = {
    "measure": ["-DPORT_MEASURES"],
    "trace": ["-DMODEL_HOOK", "-DTOY_HOOK"],
    "debugger": ["-DPORT_DEBUGGER", "-DPORT_CYCLES", "-DPORT_MEASURES"],
    "serial": ["-DPORT_SERIAL", "-DPORT_MEASURES", "-DMODEL_HOOK", "-DTOY_HOOK", *UART],
}
UARTS = sorted(path.name for path in port_files().glob("uart_*.c") if path.stem != "uart_posix")
STARTS = sorted(path.name for path in port_files().glob("start_*.c"))


def compile_strictly(compiler: Compiler, folder: Path, source: str, flags: list[str]) -> None:
    compiler.run([*STRICT, *flags, "-c", source, "-o", str(folder / "out.o")], folder)


@pytest.mark.parametrize("cc", ["gcc", "clang", pytest.param("zig", marks=pytest.mark.slow)])
@pytest.mark.parametrize("core", EMULATED)
def test_no_warnings_for_cores(tmp_path: Path, core: str, cc: str) -> None:
    facts = load_core(core)
    try:
        compiler = firmware_compiler(facts, cc)
    except ToolError as error:
        pytest.skip(str(error))
    write_toy(tmp_path)
    for flavour in FLAVOURS.values():
        flags = [*facts.flags[cc], *BARE[cc], "-isystem", "simulator/freestanding", *flavour]
        uarts = [*UARTS, *STARTS] if "-DPORT_SERIAL" in flavour else []
        for source in ("main.c", f"port_{facts.port}.c", "memory.c", *uarts):
            compile_strictly(compiler, tmp_path, f"simulator/{source}", flags)


@pytest.mark.parametrize("cc", ["gcc", "clang"])
@pytest.mark.parametrize("flavour", [[], FLAVOURS["trace"]])
def test_no_warnings_on_the_host(tmp_path: Path, cc: str, flavour: list[str]) -> None:
    if shutil.which(cc) is None:
        pytest.skip(f"{cc} is not installed")
    write_toy(tmp_path)
    for source in ("simulator/main.c", "simulator/port_host.c", "toy.c"):
        compile_strictly(host_compiler(cc), tmp_path, source, flavour)


@pytest.mark.parametrize("cc", ["gcc", "clang"])
@pytest.mark.parametrize("form", [0, 1, 2])
def test_mlperf_has_no_warnings(tmp_path: Path, cc: str, form: int) -> None:
    """For the host, and bare for a core."""
    write_toy(tmp_path)
    flags = ['-DMLPERF_MODEL="ic01"', f"-DMLPERF_FORM={form}", "-DPORT_CLOCK_HZ=25000000u", *["-DMLPERF_ENERGY"] * form]
    core = load_core("cortex-m4")
    try:
        for source in ("mlperf.c", "uart_posix.c"):
            compile_strictly(host_compiler(cc), tmp_path, f"simulator/{source}", flags)
        bare = [*core.flags[cc], *BARE[cc], "-isystem", "simulator/freestanding", "-DPORT_SERIAL", "-DPORT_TEXT"]
        bare += ["-DPIN_SETUP(X)=X(0x40023830u,0x0u,0x1u)"]
        bare += [f"-DPIN_{level}(X)=X(0x40020018u,0x1u)" for level in ("LOW", "HIGH")]
        for source in ("mlperf.c", "clock.c", "pin.c", "port_cortex_m.c"):
            compiler = firmware_compiler(core, cc)
            compile_strictly(compiler, tmp_path, f"simulator/{source}", [*bare, *flags, "-DPORT_MEASURES"])
    except ToolError as error:
        if "failed" in str(error):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """memory.c as a library of this machine, under other names."""
    if sys.platform == "win32":
        pytest.skip("the library is built for POSIX")
    folder = tmp_path_factory.mktemp("memory")
    rename = [f"-D{name}=own_{name}" for name in ("memcpy", "memmove", "memset", "memcmp")]
    source = port_files() / "memory.c"
    flags = ["-std=c11", "-O2", "-shared", "-fPIC", "-I", str(port_files() / "freestanding"), *rename]
    host_compiler().run([*flags, str(source), "-o", "memory.so"], folder)
    return ctypes.CDLL(str(folder / "memory.so"))


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=64, max_size=64), st.integers(0, 31), st.integers(0, 31), st.integers(0, 32))
def test_memory(memory: ctypes.CDLL, content: bytes, to: int, source: int, size: int) -> None:
    memory.own_memcmp.restype = ctypes.c_int
    size_t, pointer = ctypes.c_size_t, ctypes.c_void_p

    def after(name: str, second: object) -> bytes:
        buffer = ctypes.create_string_buffer(content, 64)
        start = ctypes.addressof(buffer)
        getattr(memory, name)(pointer(start + to), pointer(start + source) if second is None else second, size_t(size))
        return buffer.raw

    moved = bytearray(content)
    moved[to : to + size] = content[source : source + size]
    assert after("own_memmove", None) == bytes(moved)
    if abs(to - source) >= size:
        assert after("own_memcpy", None) == bytes(moved)
    filled = bytearray(content)
    filled[to : to + size] = bytes([content[0]]) * size
    assert after("own_memset", ctypes.c_int(content[0])) == bytes(filled)

    a, b = content[to : to + size], content[source : source + size]
    compared = memory.own_memcmp(a, b, size_t(size))
    assert (compared > 0) - (compared < 0) == (a > b) - (a < b)


def test_broken_stream_status(tmp_path: Path) -> None:
    """The harness says with its status that there were fewer samples than announced."""
    from driftc.simulator.program import build_host

    try:
        host_compiler()
    except ToolError as error:
        pytest.skip(str(error))
    executable = build_host(write_toy(tmp_path), trace=False)
    done = subprocess.run([str(executable)], input=b"\2\0\0\0" + bytes(50), capture_output=True, check=False)
    assert done.returncode == 3
    assert len(done.stdout) == 32 + 4  # the first sample was whole
