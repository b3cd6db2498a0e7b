"""What `driftc flash` puts on a board, run by emulators that have the board's serial port."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from toy_model import toy_reference, toy_samples, write_toy

from driftc.boards import load
from driftc.simulator.engine import Program, Target
from driftc.simulator.program import build_harness
from driftc.simulator.serial_engine import SerialEngine

SAMPLES = toy_samples(3)


def check(device: str, program: Program) -> None:
    """Both kinds of run, one after the other, over the serial port."""
    for trace in (True, False):
        results = SerialEngine(device, timeout=20).run(program, SAMPLES, trace=trace)
        for (x,), result in zip(SAMPLES, results, strict=True):
            expected = toy_reference(x)
            np.testing.assert_array_equal(result.outputs[0], expected[2].reshape(1, 4))
            assert sorted(result.tensors) == ([0, 1, 2] if trace else [])
            for index, tensor in result.tensors.items():
                np.testing.assert_array_equal(tensor, expected[index])


@contextmanager
def second_serial_port(machine: str, elf: Path) -> Iterator[str]:
    """QEMU's machine that runs `elf`: the name of its second serial port."""
    qemu = shutil.which("qemu-system-arm")
    if qemu is None:
        pytest.skip("qemu-system-arm is not installed")
    command = [qemu, "-M", machine, "-nographic", "-monitor", "none", "-serial", "null", "-serial", "pty", "-kernel", elf]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            found = re.search(r"redirected to (\S+)", running.stdout.readline())
            assert found
            yield found[1]
        finally:
            running.kill()


def test_stm32f4(tmp_path: Path) -> None:
    """nucleo-f446re's USART2, on an STM32F405, which has the same registers; it has no clock tree or pins to get wrong."""
    program = write_toy(tmp_path, target=Target("cortex-m4", board="nucleo-f446re"))
    with second_serial_port("netduinoplus2", build_harness(program, load("nucleo-f446re"))) as device:
        check(device, program)
