"""The harness over semihosting: a board's image, run by a debugger that keeps its files."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from commands import driftc
from gdb_servers import openocd, simulated_probe
from toy_model import toy_reference, toy_samples, write_toy

from driftc.boards import load
from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import ToolError
from driftc.simulator.elf import Elf
from driftc.simulator.engine import Program, Sample, Target
from driftc.simulator.flash.image import image_of
from driftc.simulator.program import build_harness
from driftc.simulator.semihosting_engine import SemihostingEngine, file_names

BOARD = "nucleo-f446re"
SAMPLES = toy_samples(3)


@contextmanager
def debugger(elf: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """QEMU's STM32F405 in place of the board's STM32F446, as a debugger that answers semihosting in `folder`."""
    qemu = shutil.which("qemu-system-arm")
    if qemu is None:
        pytest.skip("qemu-system-arm is not installed")
    quiet = ("-nographic", "-monitor", "none", "-serial", "none", "-semihosting-config", "enable=on,target=native")
    with subprocess.Popen(
        [qemu, "-M", "netduinoplus2", *quiet, "-kernel", str(elf)], cwd=folder, stdin=subprocess.DEVNULL
    ) as running:
        try:
            yield running
        finally:
            running.kill()


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return write_toy(tmp_path, target=Target("cortex-m4", board=BOARD))


@contextmanager
def openocd_debugger(elf: Path, folder: Path) -> Iterator[None]:
    """OpenOCD itself in `folder`, a simulated STM32F446 behind it that has `elf` in its flash."""
    image = image_of(Elf(elf), load(BOARD), elf)
    (folder.parent / "chip").mkdir()
    with simulated_probe(folder.parent / "chip", image.data) as config:
        ports = "gdb_port disabled; telnet_port disabled; tcl_port disabled"
        start = "init; reset halt; arm semihosting enable; resume"
        command = [openocd(), "-f", str(config), "-c", ports, "-f", "target/stm32f4x.cfg", "-c", start]
        with (
            (folder.parent / "openocd.log").open("w") as log,
            subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as running,
        ):
            try:
                yield
            finally:
                running.kill()


def check(results: list[Sample], trace: bool) -> None:
    assert len(results) == len(SAMPLES)
    for (x,), result in zip(SAMPLES, results, strict=True):
        expected = toy_reference(x)
        np.testing.assert_array_equal(result.outputs[0], expected[2].reshape(1, 4))
        assert sorted(result.tensors) == ([0, 1, 2] if trace else [])
        for index, tensor in result.tensors.items():
            np.testing.assert_array_equal(tensor, expected[index])


def test_openocd(program: Program, tmp_path: Path) -> None:
    folder = tmp_path / "debugger"
    folder.mkdir()
    with openocd_debugger(build_harness(program, load(BOARD), "semihosting"), folder):
        check(list(SemihostingEngine(folder).run(program, SAMPLES, trace=True)), True)


@pytest.mark.parametrize("trace", [True, False])
def test_every_tensor(trace: bool, program: Program, tmp_path: Path) -> None:
    """The board waits for its samples, and ends when it has done them."""
    folder = tmp_path / "debugger"
    folder.mkdir()
    with debugger(build_harness(program, load(BOARD), "semihosting"), folder) as running:
        time.sleep(0.3)
        assert running.poll() is None, "it waits"
        results = list(SemihostingEngine(folder).run(program, SAMPLES, trace=trace))
        assert running.wait(10) == 0
    check(results, trace)
    assert [path.name for path in folder.iterdir()] == [file_names(program)[1]]


def test_verify(kws: Path, tmp_path: Path) -> None:
    """As a user types it, in the folder where the debugger runs."""
    program = Compiled.load(kws / "kws").program(Target("cortex-m4", board=BOARD))
    with debugger(build_harness(program, load(BOARD), "semihosting"), tmp_path):
        done = driftc("verify", kws / "kws", "--random", "2", "--on", "semihosting://.", cwd=tmp_path)
    assert "semihosting" in done.stdout and "bit-exact" in done.stdout


def test_no_board(program: Program, tmp_path: Path) -> None:
    with pytest.raises(
        ToolError, match=r"the board wrote no toy-\w{16}\.out within 0\.2 s; start its debugger in this"
    ):
        list(SemihostingEngine(tmp_path, timeout=0.2).run(program, SAMPLES, trace=True))
    assert not list(tmp_path.glob("*.in"))


def test_a_board_that_stops(program: Program, tmp_path: Path) -> None:
    """A stale result is none, and half of one is said to be so."""
    results = tmp_path / file_names(program)[1]
    results.write_bytes(b"stale")
    engine = SemihostingEngine(tmp_path, timeout=0.3)
    run = engine.run(program, SAMPLES, trace=True)
    with pytest.raises(ToolError, match=r"the board wrote no "):
        next(run)

    class Stopping(SemihostingEngine):
        def _more(self, path: Path, at: int) -> bytes:
            path.touch()
            return super()._more(path, at)

    with pytest.raises(ToolError, match=r"0 of 3 results, and no more within 0\.2 s; reset the board"):
        list(Stopping(tmp_path, timeout=0.2).run(program, SAMPLES, trace=True))


def test_no_such_folder(kws: Path) -> None:
    done = driftc("verify", kws / "kws", "--random", "1", "--on", "semihosting://nowhere", cwd=kws, code=2)
    assert "--on semihosting://nowhere: there is no such folder" in done.stderr and done.stderr.count("\n") == 1
