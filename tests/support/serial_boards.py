"""Boards on ptys: the harness built for this machine, with what may go wrong on the line, and others that misbehave."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import c_compiler

from driftc.boards.cores import Core
from driftc.simulator.engine import Program
from driftc.simulator.program import model_sources
from driftc.simulator.qemu import ICOUNT_SHIFT

PORT = Path(__file__).parent / "platforms" / "pty" / "port_pty.c"
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
def emulator_line(command: str, folder: Path) -> Iterator[str]:
    """The serial port of an emulator that `command` starts, once the program in it has said something.

    The name of a file follows it, which the emulator makes then.
    """
    start, ready = folder / "start", folder / "ready"
    start.write_text(f"#!/bin/sh\nexec {command} {ready}\n")
    start.chmod(0o755)
    with line(start) as there:
        deadline = time.monotonic() + 60
        while not ready.exists():
            assert time.monotonic() < deadline, "the program says nothing"
            time.sleep(0.05)
        yield there.device


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


@contextmanager
def serial_port(machine: str, elf: Path, number: int) -> Iterator[str]:
    """QEMU's machine that runs `elf`: the name of its serial port of that number, from 0."""
    qemu = shutil.which("qemu-system-arm")
    if qemu is None:
        pytest.skip("qemu-system-arm is not installed")
    ports = (*("-serial", "null") * number, "-serial", "pty")
    command = [qemu, "-M", machine, "-nographic", "-monitor", "none", *ports, "-icount", "shift=4", "-kernel", str(elf)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            found = re.search(r"redirected to (\S+)", running.stdout.readline())
            assert found
            yield found[1]
        finally:
            running.kill()
