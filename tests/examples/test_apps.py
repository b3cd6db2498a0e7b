"""The three programs, whole: on this machine from a recorded file, and the same bytes on an emulated Cortex-M4."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import motion
import numpy as np
import person
import pytest
import spotter
from apps import board_program, host_program, output
from commands import ROOT, c_compiler
from har_cnn import load
from logmel import RATE
from shared_data import shared_file

from driftc.codegen.errors import ToolError

APPS = ROOT / "examples"


def on_board(app: str, model: Path, folder: Path, recorded: bytes) -> str:
    """What the program says on QEMU's machine with a Cortex-M4, start-up code included."""
    qemu = shutil.which("qemu-system-arm")
    if qemu is None:
        pytest.skip("qemu-system-arm is not installed")
    try:
        elf = board_program(APPS / app, model, folder, "cortex-m4")
    except ToolError as error:
        if "failed" in str(error):
            raise
        pytest.skip(str(error))
    (folder / "in.bin").write_bytes(recorded)
    semihosting = ["-semihosting-config", "enable=on,target=native"]
    command = [qemu, "-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none", *semihosting]
    done = subprocess.run([*command, "-kernel", elf], cwd=folder, stdin=subprocess.DEVNULL, timeout=120, check=False)
    assert done.returncode == 0
    return (folder / "out.bin").read_text()


@pytest.mark.parametrize("name", ["motion", "person"])
def test_without_its_files_it_says_how_it_is_called(name: str) -> None:
    done = subprocess.run([sys.executable, APPS / f"{name}.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and f"python examples/{name}.py" in done.stderr and "Traceback" not in done.stderr


def test_the_spotter_hears_the_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    c_compiler()
    folder = spotter.make(tmp_path)
    recorded = (folder / "recording.raw").read_bytes()
    said = output(host_program(APPS / "spotter", folder / "kws", folder), recorded)
    lines = [re.fullmatch(r"(\d+\.\d\d) s (\w+)", line) for line in said.splitlines()]
    heard = [(float(line[1]), line[2]) for line in lines if line is not None]
    assert len(heard) == len(lines)
    # A word is whole two seconds after the one before it, give or take what its window may miss.
    right = {
        number
        for number, word in enumerate(spotter.SPOKEN)
        if any(name == spotter.NAMES[word] and abs(at - 2 * (number + 1)) < 0.3 for at, name in heard)
    }
    assert len(right) >= len(spotter.SPOKEN) - 3
    assert len(heard) <= len(right) + 3
    some = recorded[: 2 * RATE * 7]
    monkeypatch.chdir(tmp_path.parent)
    program = host_program(APPS / "spotter", Path(tmp_path.name, "kws"), Path(tmp_path.name))
    assert on_board("spotter", folder / "kws", folder, some) == output(program, some) != ""


@pytest.mark.shared_data
def test_the_detector_sees_persons(tmp_path: Path) -> None:
    c_compiler()
    model = shared_file("mlperf_tiny/models/vww/vww_96_int8.tflite")
    there = person.make(model, shared_file("mlperf_tiny/vww01/vww01.npz"), tmp_path, count=20)
    recorded = (tmp_path / "recording.raw").read_bytes()
    said = output(host_program(APPS / "person", tmp_path / "vww", tmp_path), recorded).split()
    assert len(said) == 20 and set(said) == {"person", "nobody"}
    assert np.mean([(line == "person") == bool(label) for line, label in zip(said, there, strict=True)]) >= 0.75
    two = recorded[: 2 * 96 * 96 * 3]
    assert on_board("person", tmp_path / "vww", tmp_path, two).split() == said[:2]


@pytest.mark.shared_data
def test_the_classifier_feels_motion(tmp_path: Path) -> None:
    c_compiler()
    names = motion.make(load(shared_file("uci_har/uci_har_test.npz")), tmp_path)
    recorded = (tmp_path / "recording.raw").read_bytes()
    said = output(host_program(APPS / "motion", tmp_path / "motion", tmp_path), recorded)
    assert said.split() == names
    assert on_board("motion", tmp_path / "motion", tmp_path, recorded) == said
