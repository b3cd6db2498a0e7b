"""OpenOCD's and pyOCD's own GDB servers, with a simulated STM32F446 behind them: flash, breakpoints, reset, cycles."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from gdb_servers import openocd_server, pyocd_server
from shared_data import shared_file
from simulated.chip import FLASH
from toy_model import toy_reference, toy_samples, write_toy

from driftc import compile
from driftc.boards import load as load_board
from driftc.codegen.errors import ToolError
from driftc.simulator.elf import Elf
from driftc.simulator.engine import Target
from driftc.simulator.gdb.engine import GdbEngine
from driftc.simulator.program import build_firmware

BOARD = "nucleo-f446re"
SAMPLES = toy_samples(3)
Server = Callable[[Path], AbstractContextManager[int]]


@pytest.fixture(scope="module", params=[openocd_server, pyocd_server], ids=["openocd", "pyocd"])
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> object:
    server: Server = request.param
    with server(tmp_path_factory.mktemp("server")) as port:
        yield f"gdb://127.0.0.1:{port}?timeout=30"


def test_every_tensor_and_cycles(address: str, tmp_path: Path) -> None:
    """Flashed, traced; flashed anew, measured; then measured once more, with nothing to flash."""
    program = write_toy(tmp_path, target=Target("cortex-m4", board=BOARD))
    engine = GdbEngine(urlsplit(address))
    cycles = []
    for trace in (True, False, False):
        for (x,), result in zip(SAMPLES, engine.run(program, SAMPLES, trace=trace), strict=True):
            expected = toy_reference(x)
            np.testing.assert_array_equal(result.outputs[0], expected[2].reshape(1, 4))
            assert sorted(result.tensors) == ([0, 1, 2] if trace else [])
            for index, tensor in result.tensors.items():
                np.testing.assert_array_equal(tensor, expected[index])
            assert (result.cycles is None) is trace
            cycles += [result.cycles] if result.cycles else []
    assert len(cycles) == 2 * len(SAMPLES) and cycles[:3] == cycles[3:]
    assert all(len(steps) == 3 and min(steps) > 100 for steps in cycles)


def test_a_program_for_another_core(address: str, tmp_path: Path) -> None:
    program = write_toy(tmp_path, target=Target("cortex-m33", board="nucleo-u575zi-q"))
    with pytest.raises(ToolError, match="the chip has a cortex-m4, the program is for cortex-m33"):
        list(GdbEngine(urlsplit(address)).run(program, SAMPLES, trace=True))


def test_another_model_is_flashed(address: str, tmp_path: Path) -> None:
    program = write_toy(tmp_path / "toy", target=Target("cortex-m4", board=BOARD))
    list(GdbEngine(urlsplit(address)).run(program, SAMPLES, trace=True))
    header = program.folder / "simulator" / "model.h"
    header.write_text(header.read_text().replace("0x7E", "0x7D"))
    with pytest.raises(ToolError, match=r"is flashed is toy \(746f79000102037e\), not toy \(746f79000102037d\)"):
        list(GdbEngine(urlsplit(f"{address}&load=no")).run(program, SAMPLES, trace=True))


def test_kws(tmp_path: Path) -> None:
    """All tensors in under 10 s a sample, over OpenOCD's bits; the chip has the program already."""
    model = shared_file("mlperf_tiny/models/kws/kws_ref_model_int8.tflite")
    compiled = compile(model, board=BOARD, planner="greedy")
    defines = ("PORT_DEBUGGER", "PORT_CYCLES")
    elf = Elf(build_firmware(compiled.program(), trace=True, defines=defines, board=load_board(BOARD)).elf)
    flash = bytearray(b"\xff" * (max(address + len(data) for address, data in elf.segments) - FLASH))
    for address, data in elf.segments:
        flash[address - FLASH : address - FLASH + len(data)] = data
    with openocd_server(tmp_path, bytes(flash)) as port:
        on = f"gdb://127.0.0.1:{port}?load=no"
        started = time.monotonic()
        found = compiled.verify(random=0, on=on)
        assert found.bit_exact and found.engines == ["numpy", "gdb"] and len(found.compared) == found.total
        assert (time.monotonic() - started) / found.samples < 10


def test_instructions_beside_cycles(tmp_path: Path) -> None:
    model = shared_file("mlperf_tiny/models/kws/kws_ref_model_int8.tflite")
    compiled = compile(model, board=BOARD, planner="greedy")
    with pyocd_server(tmp_path) as port:
        timed = compiled.simulate(random=0, sample=0, on=f"gdb://127.0.0.1:{port}")
    assert timed.cycles is not None and timed.instructions is not None
    assert len(timed.cycles) == len(timed.instructions) == len(timed.steps)
