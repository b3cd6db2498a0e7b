"""Boards on ptys: the harness built for this machine, with what may go wrong on the line, and others that misbehave."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import c_compiler
from exported import tools

from driftc.boards.cores import Core, load_core
from driftc.simulator.engine import Program
from driftc.simulator.program import BARE, SECTIONS, model_sources
from driftc.simulator.qemu import ICOUNT_SHIFT
from driftc.simulator.toolchain import firmware_compiler

PLATFORMS = Path(__file__).parent / "platforms"
PORT, RP2040 = PLATFORMS / "pty" / "port_pty.c", PLATFORMS / "rp2040"
Change = Callable[[bytes], bytes]


def harness(program: Program, *flags: str) -> Path:
    """The harness of serial.h, with every layer shown on demand, as a program of this machine."""
    simulator = program.folder / "simulator"
    out = program.folder / "board"
    hook = ("-DMODEL_HOOK", f"-D{program.name.upper()}_HOOK")
    sources = [*map(str, model_sources(program)), "simulator/main.c", str(PORT)]
    options = ["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O1", "-DPORT_SERIAL", *hook, *flags, "-I", str(simulator)]
    c_compiler().run([*options, *sources, "-o", str(out)], program.folder)
    return out


class Line:
    """A serial line: `device` is this end's name. `there` and `back` change what goes to and comes from the board."""

    def __init__(self, program: Path | None, there: Change = bytes, back: Change = bytes) -> None:
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        self._slave = slave  # held open, so that the line stays while nobody listens
        self.device = os.ttyname(slave)
        self._program = program
        self._there, self._back = there, back
        self._board: subprocess.Popen[bytes] | None = None
        self._stop = threading.Event()
        self.start_board()
        self._thread = threading.Thread(target=self._relay, daemon=True)
        self._thread.start()

    def start_board(self) -> None:
        """Also a reset of the board."""
        old, self._board = self._board, None
        if old is not None:
            old.kill()
            old.wait()
        if self._program is not None:
            self._board = subprocess.Popen(
                [self._program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
                env=os.environ | {"BOARD": str(self._program)},
            )  # fmt: skip
            if old is not None and old.stdin and old.stdout:
                old.stdin.close()
                old.stdout.close()

    def say(self, data: bytes) -> None:
        """As if the board had sent it."""
        os.write(self._master, data)

    def _relay(self) -> None:
        while not self._stop.is_set():
            board = self._board
            streams = [self._master] + ([board.stdout.fileno()] if board and board.stdout else [])
            for ready in select.select(streams, [], [], 0.02)[0]:
                try:
                    data = os.read(ready, 4096)
                    if ready == self._master:
                        data = self._there(data)
                        if board and board.stdin and data:
                            board.stdin.write(data)
                    elif data:
                        os.write(self._master, self._back(data))
                except (OSError, ValueError):  # the board was reset, or has ended
                    self._stop.wait(0.01)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        board, self._board = self._board, None
        if board is not None:
            board.kill()
            board.wait()
            for stream in (board.stdin, board.stdout):
                if stream:
                    stream.close()
        os.close(self._master)
        os.close(self._slave)


@contextmanager
def line(program: Path | None, there: Change = bytes, back: Change = bytes) -> Iterator[Line]:
    made = Line(program, there, back)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def emulated(elf: Path, core: Core) -> Iterator[str]:
    """The core's machine in QEMU, which runs `elf`: the name of its serial port."""
    machine = core.qemu
    assert machine is not None
    qemu = shutil.which(f"qemu-system-{machine.system}")
    if qemu is None:
        pytest.skip(f"qemu-system-{machine.system} is not installed")
    command = [qemu, "-M", machine.machine, *machine.options, "-nographic", "-monitor", "none", "-serial", "pty",
               "-icount", f"shift={ICOUNT_SHIFT[machine.system]}"]  # fmt: skip
    running = subprocess.Popen(
        [*command, "-kernel", str(elf)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert running.stdout is not None
        said = running.stdout.readline()
        found = re.search(r"redirected to (\S+)", said)
        assert found, said
        yield found[1]
    finally:
        running.kill()
        running.communicate()


def rp2040(program: Program) -> Path:
    """The harness on an emulated RP2040: a program whose stdin and stdout are its UART."""
    for command in ("arm-none-eabi-gcc", "arm-none-eabi-objcopy", "node"):
        if shutil.which(command) is None:
            pytest.skip(f"{command} is absent; .ci/tools installs it")
    modules = tools() / "node" / "node_modules"
    folder, core = program.folder, load_core("cortex-m0plus")
    regions = {
        "vectors (rx)": (0x10000100, 0x100),
        "code (rx)": (0x10000200, 0x1FFE00),
        "ram (rwx)": (0x20000000, 0x40000),
    }
    lines = [f"{name} : ORIGIN = {at:#x}, LENGTH = {size:#x}" for name, (at, size) in regions.items()]
    (folder / "memory.ld").write_text("MEMORY {\n" + "\n".join(lines) + "\n}\n")
    sources = ["simulator/main.c", "simulator/port_cortex_m.c", "simulator/memory.c", RP2040 / "uart_rp2040.c"]
    hook = ("-DMODEL_HOOK", f"-D{program.name.upper()}_HOOK", "-DPORT_SERIAL", "-DPORT_MEASURES")
    flags = [
        "-std=c11",
        "-O2",
        *core.flags["gcc"],
        *BARE["gcc"],
        *SECTIONS,
        *hook,
        "-isystem",
        "simulator/freestanding",
    ]
    link = ["-Isimulator", "-nostdlib", "-Wl,--gc-sections", "-T", "simulator/cortex_m.ld"]
    everything = [*flags, *link, *map(str, [*model_sources(program), *sources]), "-lgcc", "-o", "rp2040.elf"]
    firmware_compiler(core, "gcc").run(everything, folder)
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", "rp2040.elf", "rp2040.bin"], cwd=folder, check=True)
    script = folder / "rp2040"
    script.write_text(f"#!/bin/sh\nexec node {RP2040}/line.cjs {modules} {folder}/rp2040.bin\n")
    script.chmod(0o755)
    return script
