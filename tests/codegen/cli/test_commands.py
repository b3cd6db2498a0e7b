"""The installed command: boards, operators, doctor, help, exit codes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import driftc, driftc_json

TARGET = "--core --cc -O --json"
CALIBRATION = "--ranges --correct-bias --no-correct-bias --equalize --no-equalize --input-divisor"
SAMPLES = "--data --random --labels --input-divisor --sample --engine"


def test_boards_operators_and_doctor(tmp_path: Path) -> None:
    boards = {row["board"]: row for row in driftc_json("boards", cwd=tmp_path)["boards"]}
    assert boards["nucleo-f446re"]["core"] == "cortex-m4"
    assert "nucleo-f446re" in driftc("boards", cwd=tmp_path).stdout
    operators = {row["operator"] for row in driftc_json("operators", cwd=tmp_path)["operators"]}
    assert {"CONV_2D", "SOFTMAX", "EMBEDDING_LOOKUP"} <= operators
    assert "CONV_2D" in driftc("operators", cwd=tmp_path).stdout
    tools = {row["tool"]: row for row in driftc_json("doctor", cwd=tmp_path)["tools"]}
    assert {"engine numpy", "engine qemu", "compiler for this machine", "zig", "openocd", "esptool"} <= tools.keys()
    assert tools["engine numpy"]["present"] == "yes"
    assert "engine numpy" in driftc("doctor", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (
            "compile",
            "--output --board --name --match --planner --float-io --adapt --adapt-layers --adapt-budget "
            "--adapt-rank --adapt-constants --measure --no-measure --dump-after "
            f"--calibrate {CALIBRATION} {TARGET}",
        ),
        ("quantize", f"--calibrate --output --float-io {CALIBRATION} --json"),
        ("verify", f"{SAMPLES} --save-tensors --sanitize {TARGET}"),
        ("simulate", f"{SAMPLES} {TARGET}"),
        ("update", "--uploads --teacher --clean --key --output --active --sequence --device --dry-run --json"),
        ("serve", "--teacher --clean --key --broker --folder --serial --database --round --budget --per-device --http"),
        ("report", "--output"),
        ("boards", "--json"),
        ("operators", "--json"),
        ("doctor", "--json"),
    ],
)
def test_help_of(command: str, options: str, tmp_path: Path) -> None:
    text = driftc(command, "--help", cwd=tmp_path).stdout
    for option in options.split():
        assert f" {option}" in text, option


def test_help_teaches_and_version(tmp_path: Path) -> None:
    text = driftc("--help", cwd=tmp_path).stdout
    codes = "Exit codes: 0 done; 1 the bytes differ or the model does not fit the board; 2 bad use, bad"
    assert codes in " ".join(text.split())
    assert "driftc compile kws.tflite --board" in text
    assert text == driftc("-h", cwd=tmp_path).stdout
    assert re.fullmatch(r"driftc, version \d+\.\d+\.\d+\n", driftc("--version", cwd=tmp_path).stdout)


def test_help_loads_neither_numpy_nor_the_compiler() -> None:
    code = (
        "import atexit, sys\n"
        "heavy = {'numpy', 'jinja2', 'tflite', 'unicorn', 'rich'}\n"
        "atexit.register(lambda: print('loaded:', sorted(heavy & set(sys.modules))))\n"
        "sys.argv = ['driftc', '--help']\n"
        "from driftc.codegen.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "loaded: []" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("compile", "kws.tflite", "--board", "nucleo-f446"), "did you mean nucleo-f446re"),
        (("compile", "kws.tflite", "--core", "cortex-m9"), "core 'cortex-m9' is unknown"),
        (("compile", "kws.tflite", "--dump-after", "magic"), "the stages are"),
        (("compile", "absent.tflite"), "absent.tflite"),
        (("verify", "nothing"), "not a folder that driftc compile wrote"),
        (("verify", "kws", "--engine", "gdb"), "engine 'gdb' is unknown"),
        (("simulate", "kws", "--engine", "gdb"), "engine 'gdb' is unknown"),
        (("simulate", "kws", "--data", "none.npz"), "none.npz: no such file"),
        (("simulate", "kws", "--data", "none.npz", "--random", "1"), "either data or random"),
        (("fly",), "No such command 'fly'"),
    ],
)
def test_bad_use_is_2(kws: Path, arguments: tuple[str, ...], problem: str) -> None:
    assert problem in driftc(*arguments, cwd=kws, code=2).stderr
