"""Real GDB servers for tests: each is started on a free port, and stopped again."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from driftc.boards.cores import load_core

START_SECONDS = 30


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str | Path], log: Path, ready: str, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The command, once what it printed matches `ready`."""
    with log.open("wb") as output, subprocess.Popen(
        list(command), stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment
    ) as process:  # fmt: skip
        try:
            deadline = time.monotonic() + START_SECONDS
            while not re.search(ready, log.read_text(errors="replace")):
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"{command[0]} did not start\n{log.read_text(errors='replace')}")
                time.sleep(0.02)
            yield process
        finally:
            process.kill()
            process.wait()


@contextmanager
def qemu_stub(core: str) -> Iterator[int]:
    """QEMU's stub on a port, its machine that of `core`, halted before the first instruction."""
    machine = load_core(core).qemu
    assert machine is not None
    qemu = shutil.which(f"qemu-system-{machine.system}")
    if qemu is None:
        pytest.skip(f"qemu-system-{machine.system} is not installed")
    port = free_port()
    quiet = ("-nographic", "-monitor", "none", "-serial", "none")
    command = [qemu, "-M", machine.machine, *machine.options, *quiet, "-S", "-gdb", f"tcp:127.0.0.1:{port}"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + START_SECONDS
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    assert process.poll() is None and time.monotonic() < deadline, "QEMU did not start"
                    time.sleep(0.02)
            yield port
        finally:
            process.kill()
