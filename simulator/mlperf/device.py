"""A device under test: firmware/ports/mlperf.c with the model, for this machine behind a pty, or for a board."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from driftc.boards import Board, names
from driftc.boards import load as load_board
from driftc.boards.cores import load_core
from driftc.codegen.errors import ToolError, UsageError
from driftc.simulator.engine import Program
from driftc.simulator.mlperf.benchmarks import Benchmark
from driftc.simulator.mlperf.sound import tables
from driftc.simulator.program import build_firmware, build_posix

CYCLES_HZ = 1_000_000_000  # of RISC-V's counter where QEMU counts an instruction as 1 ns (-icount shift=0)
BAUD, ENERGY_BAUD = 115_200, 9_600
FORMS = {"int8": 0, "uint8": 1, "float32": 2}  # MLPERF_FORM


def flags(program: Program, benchmark: Benchmark, *, energy: bool = False) -> tuple[str, ...]:
    """What mlperf.c is compiled with; with `energy` a time stamp is an edge of a pin.

    Raises UsageError where the folder's model is none for this benchmark.
    """
    where = f"{program.folder}: --as {benchmark.name}"
    if len(program.inputs) != 1 or len(program.outputs) != 1:
        raise UsageError(f"{where} needs a model with one input and one output")
    shape, out = program.inputs[0].shape, program.outputs[0].shape
    if _size(shape) != benchmark.values:
        wanted = " x ".join(map(str, benchmark.shape))
        raise UsageError(f"{where} gives {wanted} values; the model takes {' x '.join(map(str, shape[1:]))}")
    if _size(out) != (benchmark.classes or benchmark.values):
        raise UsageError(f"{where} wants {benchmark.classes or benchmark.values} outputs; the model has {_size(out)}")
    if "define MODEL_INPUT_SCALE" not in (program.folder / "simulator" / "model.h").read_text(encoding="utf-8"):
        raise UsageError(f"{where} needs a quantised input and output; the model's have no scale, or driftc was older")
    takes = ("int8", "uint8") if benchmark.form == "uint8" else ("int8",)
    if program.inputs[0].dtype.name not in takes:
        raise UsageError(f"{where} needs an input of {' or '.join(takes)}; the model's is {program.inputs[0].dtype}")
    more = ["-DMLPERF_ENERGY"] * energy
    if benchmark.streams:
        more.append(f'-DMLPERF_TABLES="{tables().as_posix()}"')
    return f'-DMLPERF_MODEL="{benchmark.name}"', f"-DMLPERF_FORM={FORMS[benchmark.form]}", *more


@contextmanager
def host_device(
    program: Program, benchmark: Benchmark, *, energy: bool = False, pin: int | None = None
) -> Iterator[tuple[str, Callable[[], int]]]:
    """The device on a pty of this machine: the port's name, and what waits for its end and gives the exit status.

    With `energy` each edge of the pin that it has not is a line on the file descriptor `pin`, or on stderr.
    """
    try:
        import pty
        import tty
    except ImportError:
        raise ToolError("--host: this system has no ptys; use a board (--firmware)") from None
    executable = build_posix(program, "mlperf", flags(program, benchmark, energy=energy))
    ours, theirs = pty.openpty()
    tty.setraw(theirs)  # held open, so that runners may come and go
    try:
        with subprocess.Popen([executable], stdin=ours, stdout=ours, stderr=pin) as running:
            try:
                yield os.ttyname(theirs), running.wait
            finally:
                running.kill()
    finally:
        os.close(ours)
        os.close(theirs)


@dataclass(frozen=True)
class Device:
    """A device for bare metal, and what it runs on."""

    elf: Path
    where: str


def board_device(program: Program, benchmark: Benchmark, board: Board | None = None, *, energy: bool = False) -> Device:
    """The device on `board`, if its serial port and its clock after a reset are known; else on the machine that QEMU
    emulates for the program's core, which has no pin for `energy`.
    """
    core = load_core(program.target.core)
    if core.qemu is None:
        raise ToolError(f"--firmware: there is no linker script for {core.id}")
    if board is not None and board.uart is not None and board.uart.core_hz is not None:
        line, hertz, where = board.uart, board.uart.core_hz, board.name
    else:
        line, hertz, where = core.qemu.uart, core.qemu.tick_hz or CYCLES_HZ, f"{core.qemu.machine} in QEMU"
        board = None
    pin = None
    if energy:
        if board is None or board.pin is None:
            known = ", ".join(name for name in names() if load_board(name).pin)
            raise UsageError(
                f"{program.folder}: --energy marks time with a pin, and driftc knows none of its board: --board {known}"
            )
        pin, line = board.pin, line.slower(BAUD // ENERGY_BAUD)
        where = f"{where}, {ENERGY_BAUD} baud, time stamps at {pin.name}"
    defines = [flag.removeprefix("-D") for flag in flags(program, benchmark, energy=energy)]
    if core.port == "riscv":
        defines.append("PORT_CYCLES")  # instructions are no time
    defines.append(f"PORT_CLOCK_HZ={hertz}u")
    made = build_firmware(program, trace=False, defines=defines, line=line, text="mlperf", board=board, pin=pin)
    return Device(made.elf, where)


def _size(shape: tuple[int, ...]) -> int:
    count = 1
    for length in shape:
        count *= length
    return count
