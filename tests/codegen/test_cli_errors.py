"""Bad use of the command: exit code 2, one line on standard error that says what to do, never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import DRIFTC, driftc, driftc_json
from models import ModelBuilder, keyword_model

from driftc.codegen import cli
from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import UsageError

ABSENT = [
    "unicorn",
    "elftools",
    "capstone",
    "ziglang",
    "tflite_micro",
    "ai_edge_litert",
    "tflite_runtime",
    "tensorflow",
]


@dataclass
class Ended:
    code: int
    stdout: str
    stderr: str


@pytest.fixture
def run(kws: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """`main` in this process, in the folder that holds kws.tflite and kws/."""

    def call(*arguments: str | Path) -> Ended:
        monkeypatch.chdir(kws)
        monkeypatch.setattr(sys, "argv", ["driftc", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return Ended(int(ended.value.code or 0), out, err)

    return call


def check(ended: Ended, *expected: str) -> None:
    assert ended.code == 2, ended
    assert ended.stdout == ""
    last = ended.stderr.rstrip("\n").splitlines()
    assert "Traceback" not in ended.stderr
    said = [line for line in last if not line.startswith(("Usage:", "Try ")) and line]
    assert len(said) == 1, ended.stderr
    for part in expected:
        assert part in said[0], said[0]


USES: list[tuple[Sequence[str], Sequence[str]]] = [
    (["compile"], ["Missing argument 'MODEL'"]),
    (["verify"], ["Missing argument 'FOLDER'"]),
    (["compile", "kws.tflite", "extra"], ["unexpected extra argument (extra)"]),
    (["compile", "kws.tflite", "--fast"], ["No such option", "--fast"]),
    (["compile", "kws.tflite", "--board"], ["--board"]),
    (["compile", "kws.tflite", "--board", "nucleo-f446rf"], ["nucleo-f446rf", "nucleo-f446re"]),
    (["compile", "kws.tflite", "--board", "../boards/rp2040"], ["../boards/rp2040", "unknown"]),
    (["compile", "kws.tflite", "--board", ""], ["unknown"]),
    (["compile", "kws.tflite", "--core", "avr"], ["core 'avr' is unknown", "cortex-m0plus", "rv32imc"]),
    (["compile", "kws.tflite", "-O", "1"], ["'1' is not one of '2', '3', 's'"]),
    (["compile", "kws.tflite", "--match", "tf"], ["'tf' is not one of"]),
    (["compile", "kws.tflite", "--dump-after", "magic"], ["--dump-after magic", "frontend", "plan"]),
    (["compile", "kws.tflite", "--adapt-rank", "4"], ["--adapt-rank 4: is for constants that --adapt learns"]),
    (["compile", "kws.tflite", "--adapt", "--adapt-rank", "0"], ["--adapt-rank 0: is from 1 to 16"]),
    (["compile", "kws.tflite", "--adapt", "lean", "--adapt-rank", "4"], ["the method lean learns nothing"]),
    (["compile", "kws.tflite", "--adapt-rank", "four"], ["'four' is not a valid int"]),
    (["compile", "none.tflite"], ["none.tflite", "cannot be read: No such file"]),
    (["compile", "kws"], ["driftc reads .tflite files"]),
    (["compile", "kws.onnx"], ["kws.onnx: driftc reads .tflite files"]),
    (["compile", "."], ["driftc reads .tflite files"]),
    (["compile", "kws.tflite", "-o", "kws.tflite", "--no-measure"], ["kws.tflite: is a file"]),
    (["compile", "kws.tflite", "-o", ".", "--no-measure"], ["which driftc did not write"]),
    (["compile", "kws.tflite", "-o", "kws.tflite/sub", "--no-measure"], ["cannot be written"]),
    (["compile", "kws.tflite", "-o", "x" * 300, "--no-measure"], ["cannot be written: File name too long"]),
    (["compile", "kws.tflite", "--measure", "--cc", "nocc", "-o", "never"], ["--cc nocc: not found"]),
    (["verify", "none"], ["none: not a folder that driftc compile wrote"]),
    (["verify", "kws.tflite"], ["not a folder that driftc compile wrote"]),
    (["verify", "kws", "--engine", "gdb"], ["engine 'gdb' is unknown", "numpy, tflm, litert, host, unicorn, qemu"]),
    (["verify", "kws", "--core", "z80"], ["core 'z80' is unknown"]),
    (["verify", "kws", "--random", "-1"], ["-1"]),
    (["verify", "kws", "--random", "many"], ["'many' is not a valid int"]),
    (["verify", "kws", "--random", "1", "--sample", "9"], ["--sample 9", "samples 0 to 3"]),
    (["verify", "kws", "--random", "1", "--sample", "-1"], ["--sample -1"]),
    (["verify", "kws", "--data", "none.npz"], ["none.npz: no such file"]),
    (["verify", "kws", "--data", "kws"], ["kws: is not a .npz or .npy"]),
    (["verify", "kws", "--data", "kws.tflite"], ["kws.tflite: is not a .npz or .npy"]),
    (["verify", "kws", "--data", "x.npz", "--random", "3"], ["either data or random"]),
    (["verify", "kws", "--data", "kws.tflite", "--input-divisor", "0"], ["divisor"]),
    (["verify", "kws", "--data", "kws.tflite", "--input-divisor", "nan"], ["divisor"]),
    (["verify", "kws", "--engine", "numpy", "--random", "0", "--save-tensors", "none/x.npz"], ["cannot be written"]),
    (["simulate", "kws", "--engine", "gdb"], ["engine 'gdb' is unknown"]),
    (["simulate", "kws", "--core", "avr"], ["core 'avr' is unknown"]),
    (["simulate", "kws", "--engine", "host", "--cc", "nocc"], ["--cc nocc: not found on this machine"]),
    (["simulate", "kws", "--labels", "x.npz", "--random", "0"], ["--labels belongs to --data"]),
    (["boards", "extra"], ["unexpected extra argument"]),
    (["fly"], ["No such command 'fly'"]),
    (["--fast"], ["No such option", "--fast"]),
]


@pytest.mark.parametrize(("arguments", "expected"), USES, ids=[" ".join(a)[:60] for a, _ in USES])
def test_bad_use(run: Any, arguments: Sequence[str], expected: Sequence[str]) -> None:
    check(run(*arguments), *expected)


@pytest.mark.parametrize(
    "problem",
    [KeyError("w\n\x1b[31m"), RecursionError(), MemoryError(), AssertionError(), ZeroDivisionError("x" * 9999)],
)
def test_fault_of_our_own(run: Any, problem: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback, and exit code 1: that of a model that does not fit."""

    def broken(*arguments: Any, **options: Any) -> Any:
        raise problem

    monkeypatch.setattr("driftc.codegen.api.compile", broken)
    kind = f"a fault of driftc's own: {type(problem).__name__} at test_cli_errors.py:"
    check(run("compile", "kws.tflite"), kind, "please report it, with the input and", "DRIFTC_TRACEBACK=1")
    monkeypatch.setenv("DRIFTC_TRACEBACK", "1")
    with pytest.raises(type(problem)):
        cli.main()


@pytest.mark.parametrize("place", ["kws/cc", "./kws/../kws/cc", "link/cc", "kws/sub/cc"])
def test_compiler_inside_the_folder(run: Any, kws: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder may come from anyone, and its driftc.json names the compiler that verify runs."""
    record = json.loads((kws / "kws" / "driftc.json").read_text())
    stored = {**record, "options": {**record["options"], "cc": place}}
    (kws / "kws" / "driftc.json").write_text(json.dumps(stored))
    (kws / "kws" / "sub").mkdir(exist_ok=True)
    (kws / "link").unlink(missing_ok=True)
    (kws / "link").symlink_to("kws")
    for program in (kws / "kws" / "cc", kws / "kws" / "sub" / "cc"):
        program.write_text("#!/bin/sh\ntouch ran\n")
        program.chmod(0o755)
    try:
        for command in (["verify", "kws"], ["simulate", "kws"], ["report", "kws"], ["verify", "kws", "--cc", "gcc"]):
            check(run(*command), "its driftc.json names a compiler inside the folder", "which is not run")
        assert not list(kws.rglob("ran"))
    finally:
        (kws / "link").unlink()
        (kws / "kws" / "cc").unlink()
        shutil.rmtree(kws / "kws" / "sub")
        (kws / "kws" / "driftc.json").write_text(json.dumps(record))


@pytest.mark.parametrize("arguments", [["verify", "kws", "--engine", "gdb"], ["compile", "none.tflite"], ["fly"]])
def test_bad_use_of_the_installed_command(kws: Path, arguments: list[str]) -> None:
    done = driftc(*arguments, cwd=kws, code=2)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["compile", "none.tflite", "--json"], ["verify", "x", "--json"]])
def test_json_on_failure_prints_nothing(run: Any, arguments: list[str]) -> None:
    check(run(*arguments))


# --- missing tools ---


def without_tools(folder: Path, *arguments: str) -> Ended:
    """The command without the packages of `sim`, with an empty PATH."""
    code = f"import sys; sys.modules.update(dict.fromkeys({ABSENT})); from driftc.codegen.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True, check=False,
        env={"PATH": "", "HOME": str(folder)},
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["verify", "kws", "--engine", "host"],
            ["engine host: no C compiler", "install gcc or clang", "[sim]"],
        ),
        (["verify", "kws", "--engine", "qemu"], ["engine qemu", "apt-get install qemu-system-arm", "brew install"]),
        (["verify", "kws", "--engine", "unicorn"], ["engine unicorn", "pip install", "driftc[sim]"]),
        (["verify", "kws", "--engine", "tflm"], ["engine tflm", "pip install"]),
        (["verify", "kws", "--engine", "litert"], ["engine litert", "pip install"]),
        (["verify", "kws", "--engine", "qemu", "--core", "cortex-m55"], ["apt-get install qemu-system-arm"]),
        (["simulate", "kws"], ["pip install"]),
        (["compile", "kws.tflite", "--measure", "-o", "never"], ["pip install", "driftc[sim]"]),
        (["verify", "kws", "--engine", "host", "--cc", "zig"], ["driftc[sim]"]),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_missing_tools_say_what_to_install(kws: Path, arguments: list[str], expected: list[str]) -> None:
    check(without_tools(kws, *arguments), *expected)
    assert not (kws / "never").exists()


def test_verify_without_tools_compares_what_it_can(kws: Path) -> None:
    """Graph and Plan; --json stays one object, the notes of what is absent go elsewhere."""
    ended = without_tools(kws, "verify", "kws", "--random", "0")
    assert (ended.code, ended.stderr) == (0, "")
    for name in ("host", "unicorn", "qemu", "tflm", "litert"):
        assert f"{name} did not take part" in ended.stdout
    ended = without_tools(kws, "verify", "kws", "--random", "0", "--json")
    assert ended.code == 0
    assert json.loads(ended.stdout)["engines"] == ["numpy"]


# --- files and folders ---


def test_paths_with_spaces(tmp_path: Path) -> None:
    place = tmp_path / "a place ü"
    place.mkdir()
    (place / "my model.tflite").write_bytes(keyword_model(channels=4))
    driftc("compile", "a place ü/my model.tflite", "--no-measure", "-o", "a place ü/the out put", cwd=tmp_path)
    np.savez(place / "my data.npz", features=np.zeros((2, 49, 10, 1), np.int8))
    options = ("--data", "a place ü/my data.npz", "--save-tensors", "a place ü/all of it.npz")
    found = driftc_json("verify", "a place ü/the out put", *options, cwd=tmp_path)
    assert found["bit_exact"]
    assert (place / "all of it.npz").is_file()
    assert sorted(path.name for path in place.iterdir()) == [
        "all of it.npz", "my data.npz", "my model.tflite", "the out put",
    ]  # fmt: skip


@pytest.mark.parametrize("what", ["file", "missing"])
def test_cache_that_cannot_be_written(kws: Path, tmp_path: Path, what: str) -> None:
    """HOME is a file, or does not exist below one."""
    (tmp_path / "home").write_text("")
    home = tmp_path / "home" / ("deep" if what == "missing" else "")
    environment = {key: value for key, value in os.environ.items() if key not in ("XDG_CACHE_HOME", "DRIFTC_CACHE")}
    done = subprocess.run(
        [DRIFTC, "simulate", "kws", "--engine", "host", "--random", "0"], cwd=kws, capture_output=True, text=True,
        check=False, env=environment | {"HOME": str(home)},
    )  # fmt: skip
    if "no C compiler" in done.stderr:
        pytest.skip(done.stderr)
    check(Ended(done.returncode, done.stdout, done.stderr), "set DRIFTC_CACHE to a folder that can be written")


def test_compile_needs_no_cache(kws: Path, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    environment = os.environ | {"HOME": str(tmp_path / "home"), "DRIFTC_CACHE": str(tmp_path / "home" / "c")}
    done = subprocess.run(
        [DRIFTC, "compile", kws / "kws.tflite", "-o", tmp_path / "out"], capture_output=True, text=True, check=False,
        cwd=tmp_path, env=environment,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "kws.c").is_file()


@pytest.mark.parametrize(
    "damage",
    [
        {"options": 5}, {"options": {"core": 5}}, {"options": {"match": []}}, {"options": {"name": {}}},
        {"options": {"board": "none"}}, {"options": {"board": 7}}, {"options": {"optimize": None}},
        {"options": {"float_io": "yes"}}, {"options": {"cc": ["gcc"]}}, {"model": 5}, {"model": "../../x\n*/.tflite"},
        {"files": 5}, {},
    ],
    ids=str,
)  # fmt: skip
def test_edited_record(kws: Path, tmp_path: Path, damage: dict[str, Any]) -> None:
    """driftc.json as anything but what driftc wrote: refused, or its options are the defaults."""
    folder = tmp_path / "kws"
    folder.mkdir()
    (folder / "model.tflite").write_bytes((kws / "kws" / "model.tflite").read_bytes())
    (folder / "driftc.json").write_text(json.dumps(damage))
    try:
        compiled = Compiled.load(folder)
        assert compiled.core
    except UsageError as error:
        assert str(error).isprintable()
        return
    assert compiled.verify(engines=["numpy"], random=0).bit_exact


def test_damaged_folder(kws: Path, tmp_path: Path, run: Any) -> None:
    folder = tmp_path / "kws"
    folder.mkdir()
    (folder / "driftc.json").write_text("{}")
    check(run("verify", folder), "model.tflite is missing; compile the model again")
    (folder / "model.tflite").write_bytes(b"TFL4" * 10)
    check(run("verify", folder), "model.tflite: header: not a .tflite file")
    (folder / "model.tflite").write_bytes((kws / "kws" / "model.tflite").read_bytes())
    check(run("verify", folder, "--engine", "host"), "holds no model_1.c", "driftc compile")


def test_another_model_in_the_folder(kws: Path, tmp_path: Path, run: Any) -> None:
    """The C would be compared with a model that it was not made from."""
    shutil.copytree(kws / "kws", tmp_path / "kws")
    with (tmp_path / "kws" / "model.tflite").open("ab") as file:
        file.write(b"0")
    check(run("verify", tmp_path / "kws", "--engine", "numpy"), "model.tflite is not the model that was compiled here")


def test_unsupported_operator_lists_what_is(tmp_path: Path, run: Any) -> None:
    m = ModelBuilder()
    x = m.input("x", (1, 4), scale=0.1)
    y = m.tensor("net/diagonal", (1, 4), scale=0.1)
    m.operator("MATRIX_DIAG", [m.relu(x, name="before")], [y])
    m.output(y)
    (tmp_path / "m.tflite").write_bytes(m.build())
    check(
        run("compile", tmp_path / "m.tflite"), "m.tflite: not supported: operator MATRIX_DIAG ('net/diagonal'); ",
        "'driftc operators' lists what is",
    )  # fmt: skip


def test_float_model_says_what_it_needs(tmp_path: Path, run: Any) -> None:
    m = ModelBuilder()
    x = m.input("x", (1, 4), dtype=np.float32)
    y = m.tensor("y", (1, 4), dtype=np.float32)
    m.operator("RELU", [x], [y])
    m.output(y)
    (tmp_path / "m.tflite").write_bytes(m.build())
    check(run("compile", tmp_path / "m.tflite"), "m.tflite: tensor 'x' is float32", "--calibrate", "int8")


def test_pipe_that_closes(kws: Path) -> None:
    """`driftc boards | head -1` is no error."""
    done = subprocess.run(
        f"'{DRIFTC}' boards --json | head -c 1", shell=True, cwd=kws, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("{", "")


@pytest.mark.parametrize("stage", ["all", "plan"])
def test_json_is_alone_on_stdout(kws: Path, tmp_path: Path, stage: str) -> None:
    options = ("--no-measure", "--dump-after", stage, "-o", tmp_path / "out")
    assert driftc_json("compile", "kws.tflite", *options, cwd=kws)["model"] == "kws.tflite"
