"""OpenOCD's and pyOCD's own GDB servers, with a simulated STM32F446 behind them: flash, breakpoints, reset, cycles."""

from __future__ import annotations

import os
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
from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import ToolError
from driftc.simulator.elf import Elf
from driftc.simulator.engine import Target
from driftc.simulator.gdb.engine import GdbEngine
from driftc.simulator.program import build_firmware

BOARD = "nucleo-f446re"
SAMPLES = toy_samples(3)
Server = Callable[..., AbstractContextManager[int]]


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


MODELS = {
    "kws": "kws/kws_ref_model_int8.tflite",
    "ad": "ad/ad01_int8.tflite",
    "ic": "ic/pretrainedResnet_quant.tflite",
    "vww": "vww/vww_96_int8.tflite",
    "sww": "sww/str_ww_ref_model_int8.tflite",
}


def on_the_chip(compiled: Compiled, server: Server, folder: Path, sample: int | None = 0) -> float:
    """All tensors compared: the seconds that a sample took, of processor time where others have the machine.

    OpenOCD's chip has the program already: each of its bits is a step of the simulation.
    """
    given: tuple[bytes, ...] = ()
    if server is openocd_server:
        defines = ("PORT_DEBUGGER", "PORT_CYCLES")
        elf = Elf(build_firmware(compiled.program(), trace=True, defines=defines, board=load_board(BOARD)).elf)
        flash = bytearray(b"\xff" * (max(address + len(data) for address, data in elf.segments) - FLASH))
        for address, data in elf.segments:
            flash[address - FLASH : address - FLASH + len(data)] = data
        given = (bytes(flash),)
    began, started = os.times(), time.monotonic()
    with server(folder, *given) as port:
        on = f"gdb://127.0.0.1:{port}?load={'no' if given else 'yes'}"
        found = compiled.verify(random=0, sample=sample, on=on)
    ended = os.times()  # the server and the chip have ended, so that their time counts
    taken = min(time.monotonic() - started, sum(ended[:4]) - sum(began[:4]))
    assert found.bit_exact and found.engines == ["numpy", "gdb"] and len(found.compared) == found.total
    return taken / found.samples


def test_kws(tmp_path: Path) -> None:
    """In under 10 s a sample, over OpenOCD's bits."""
    compiled = compile(shared_file(f"mlperf_tiny/models/{MODELS['kws']}"), board=BOARD, planner="greedy", measure=False)
    assert on_the_chip(compiled, openocd_server, tmp_path, None) < 10


@pytest.mark.parametrize(
    ("name", "server"),
    [
        pytest.param(name, server, id=f"{name}-{label}")
        for label, server in (("openocd", openocd_server), ("pyocd", pyocd_server))
        for name in MODELS
        if (name, label) != ("kws", "openocd")
    ],
)
def test_reference_models(name: str, server: Server, tmp_path: Path) -> None:
    """Every tensor, the same bytes."""
    compiled = compile(shared_file(f"mlperf_tiny/models/{MODELS[name]}"), board=BOARD, planner="greedy", measure=False)
    on_the_chip(compiled, server, tmp_path)


@pytest.mark.parametrize("server", [openocd_server, pyocd_server], ids=["openocd", "pyocd"])
def test_adapted_resnet8(server: Server, tmp_path: Path) -> None:
    """With live normalisation: the statistics and what they move are compared on the chip too."""
    model = shared_file("mlperf_tiny/models/ic/pretrainedResnet_quant.tflite")
    with np.load(shared_file("cifar10/train4000_lossless.npz")) as images:
        np.savez(tmp_path / "few.npz", x=images["x"][:40])
    adapted = compile(
        model, board=BOARD, planner="greedy", adapt="fixed", calibrate=tmp_path / "few.npz", measure=False
    )
    on_the_chip(adapted, server, tmp_path)


def test_instructions_beside_cycles(tmp_path: Path) -> None:
    model = shared_file("mlperf_tiny/models/kws/kws_ref_model_int8.tflite")
    compiled = compile(model, board=BOARD, planner="greedy")
    with pyocd_server(tmp_path) as port:
        timed = compiled.simulate(random=0, sample=0, on=f"gdb://127.0.0.1:{port}")
    assert timed.cycles is not None and timed.instructions is not None
    assert len(timed.cycles) == len(timed.instructions) == len(timed.steps)
