"""Finding compilers, and what is said when there is none."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftc.boards.cores import core_names, load_core, memory_script
from driftc.codegen.errors import ToolError, UsageError
from driftc.simulator import cache, toolchain
from driftc.simulator.toolchain import firmware_compiler, host_compiler

M4 = load_core("cortex-m4")


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An empty PATH and no ziglang; returns the folder that PATH names."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(toolchain, "find_spec", lambda name: None)
    toolchain.zig_compiler.cache_clear()
    yield tmp_path
    toolchain.zig_compiler.cache_clear()


def fake(folder: Path, name: str, version: str, machine: str = "") -> str:
    path = folder / name
    path.write_text(f'#!/bin/sh\ncase "$1" in --version) echo "{version}";; -dumpmachine) echo "{machine}";; esac\n')
    path.chmod(0o755)
    return str(path)


def test_nothing_is_there(nothing: Path) -> None:
    with pytest.raises(ToolError, match=r"no C compiler for this machine: install gcc or clang, or pip install"):
        host_compiler()
    with pytest.raises(ToolError, match=r"no compiler for cortex-m4: pip install .* gcc-arm-none-eabi"):
        firmware_compiler(M4)
    with pytest.raises(ToolError, match="riscv64-unknown-elf-gcc"):
        firmware_compiler(load_core("rv32imc"), "gcc")
    with pytest.raises(ToolError, match="--cc zig: not found; pip install"):
        host_compiler("zig")
    with pytest.raises(ToolError, match="--cc clang: not found"):
        firmware_compiler(M4, "clang")


def test_kind_is_what_it_says_it_is(nothing: Path) -> None:
    fake(nothing, "gcc", "Apple clang version 15.0.0", "arm64-apple-darwin23")
    assert host_compiler("gcc").kind == "clang"
    assert host_compiler().kind == "clang"


def test_compilers_for_the_wrong_machine_are_refused(nothing: Path) -> None:
    cross = fake(nothing, "arm-none-eabi-gcc", "arm-none-eabi-gcc 12.2.1", "arm-none-eabi")
    native = fake(nothing, "gcc", "gcc 12.2.0", "x86_64-linux-gnu")
    assert firmware_compiler(M4).kind == "gcc"
    assert firmware_compiler(M4, cross).command == (cross,)
    with pytest.raises(ToolError, match="compiles for arm-none-eabi, not for this machine"):
        host_compiler(cross)
    with pytest.raises(ToolError, match="compiles for x86_64-linux-gnu; cortex-m4 needs arm-none-eabi-gcc"):
        firmware_compiler(M4, native)


def test_clang_needs_a_linker(nothing: Path) -> None:
    fake(nothing, "clang", "clang version 14.0.6")
    with pytest.raises(ToolError, match="arm-none-eabi-gcc must link for it"):
        firmware_compiler(M4, "clang")


def test_broken_compiler_is_quoted(nothing: Path, tmp_path: Path) -> None:
    path = nothing / "cc"
    path.write_text('#!/bin/sh\n[ "$1" = --version ] && echo gcc 1.0 && exit 0\necho "x.c:1: no good" >&2; exit 1\n')
    path.chmod(0o755)
    with pytest.raises(ToolError, match=r"gcc \(gcc 1.0\) failed:\nx.c:1: no good"):
        host_compiler().run(["x.c"], tmp_path)


def test_an_entry_is_complete_or_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DRIFTC_CACHE", str(tmp_path))
    cache.cache_folder.cache_clear()
    try:
        calls = []

        def build(folder: Path) -> None:
            (folder / "made").write_text("x")
            calls.append(folder)
            if len(calls) == 1:
                raise ToolError("interrupted")

        with pytest.raises(ToolError):
            cache.cached("key", "made", build)
        assert list((tmp_path / "built").iterdir()) == []
        first = cache.cached("key", "made", build)
        assert cache.cached("key", "made", build) == first
        assert len(calls) == 2
        assert [entry.name for entry in (tmp_path / "built").iterdir()] == ["key"]
    finally:
        cache.cache_folder.cache_clear()


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    monkeypatch.setenv("DRIFTC_CACHE", str(tmp_path))
    cache.cache_folder.cache_clear()
    yield tmp_path / "built"
    cache.cache_folder.cache_clear()


def make_program(folder: Path) -> None:
    (folder / "model").write_text("#!/bin/sh\n")
    (folder / "model").chmod(0o755)


@pytest.mark.parametrize("damage", ["missing", "empty", "plain", "dangling", "loop", "folder", "file", "link"])
def test_entry_that_cannot_be_used_is_built_again(damage: str, built: Path) -> None:
    """It was found for ever, and every run failed on it."""
    made = cache.cached("key", "model", make_program, executable=True)
    if damage in ("file", "link"):  # in the place of the entry itself
        shutil.rmtree(made.parent)
        made.parent.write_text("") if damage == "file" else made.parent.symlink_to("none")
    else:
        made.unlink()
        if damage in ("empty", "plain"):
            made.write_text("" if damage == "empty" else "#!/bin/sh\n")
            made.chmod(0o755 if damage == "empty" else 0o644)
        elif damage == "folder":
            made.mkdir()
        elif damage != "missing":
            made.symlink_to("none" if damage == "dangling" else "model")
    assert cache.cached("key", "model", make_program, executable=True) == made
    subprocess.run([made], check=True)
    assert [entry.name for entry in built.iterdir()] == ["key"]


def test_compiler_that_writes_nothing_leaves_no_entry(built: Path) -> None:
    """Its empty folder was taken for the program from then on."""
    for build in (lambda folder: None, lambda folder: (folder / "model").write_text("")):
        with pytest.raises(ToolError, match="reported no error, but made no model; try another with --cc"):
            cache.cached("key", "model", build, executable=True)
        assert list(built.iterdir()) == []
    assert cache.cached("key", "model", make_program, executable=True).is_file()


def test_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DRIFTC_CACHE", str(tmp_path / "file"))
    cache.cache_folder.cache_clear()
    try:
        with pytest.raises(ToolError, match="set DRIFTC_CACHE to a folder that can be written"):
            cache.cache_folder()
    finally:
        cache.cache_folder.cache_clear()


def test_digest_sees_borders() -> None:
    assert cache.digest(["ab", "c"]) != cache.digest(["a", "bc"])


def test_cores() -> None:
    arm = {f"cortex-{name}" for name in ("m0plus", "m3", "m4", "m7", "m33", "m55", "m85")}
    assert {*arm, "rv32imc", "xtensa-lx6", "xtensa-lx7"} == set(core_names())
    for name in core_names():
        assert "ram (rwx)" in memory_script(load_core(name))
    with pytest.raises(UsageError, match="did you mean cortex-m4"):
        load_core("cortex-m4f")


def test_real_compilers_say_their_version() -> None:
    if shutil.which("cc") is None:
        pytest.skip("no cc on this machine")
    assert host_compiler().version
