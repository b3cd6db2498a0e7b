"""Real GDB servers for tests: each is started on a free port, and stopped again."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from driftc.boards.cores import load_core

START_SECONDS = 30
SUPPORT = Path(__file__).parent
# What stands in for a board's probe; the rest of the command is OpenOCD's own for the chip. The events set a clock that
# the driver has not. Without a work area OpenOCD writes flash itself: its loader would wait for the simulated core.
BITBANG = """\
set WORKAREASIZE 0
adapter driver remote_bitbang
remote_bitbang host 127.0.0.1
remote_bitbang port {port}
transport select jtag
reset_config none
proc init_targets {{}} {{
    foreach name [target names] {{
        $name configure -event reset-start {{ echo "" }}
        $name configure -event reset-init {{ echo "" }}
        $name configure -event gdb-attach {{ halt 20000 }}
    }}
}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


PYOCD_TARGET = "stm32f412xe"  # of those that pyOCD has without a pack; its flash is the simulated one's


@contextmanager
def running(
    command: Sequence[object], log: Path, ready: str, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The command, once what it printed matches `ready`."""
    words = [str(part) for part in command]
    with log.open("wb") as output, subprocess.Popen(
        words, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment
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


def simulated_environment() -> dict[str, str]:
    """That in which Python finds the package `simulated`."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])}


@contextmanager
def simulated_probe(folder: Path, flash: bytes = b"") -> Iterator[Path]:
    """The simulated chip, which has `flash`, behind JTAG wires: OpenOCD's configuration of the way to it.

    What it has when OpenOCD leaves is in `folder`, as afterwards.bin.
    """
    if find_spec("unicorn") is None:
        pytest.skip("unicorn is not installed")
    image = folder / "flash.bin"
    image.write_bytes(flash)
    command = [sys.executable, "-m", "simulated.bitbang", image, folder / "afterwards.bin"]
    log = folder / "bitbang.log"
    with running(command, log, r"port \d+\n", simulated_environment()):
        config = folder / "simulated.cfg"
        config.write_text(BITBANG.format(port=log.read_text().split()[1]))
        yield config


def openocd() -> str:
    """The command; the test skips where there is none."""
    found = shutil.which("openocd")
    if found is None:
        pytest.skip("openocd is not installed")
    return found


@contextmanager
def openocd_server(folder: Path, flash: bytes = b"") -> Iterator[int]:
    """OpenOCD's GDB server, an STM32F446 behind it that has `flash`."""
    port = free_port()
    with simulated_probe(folder, flash) as config:
        ports = f"gdb_port {port}; telnet_port disabled; tcl_port disabled"
        command = [openocd(), "-f", config, "-c", ports, "-f", "target/stm32f4x.cfg"]
        with running(command, folder / "openocd.log", "Listening on port"):
            yield port


@contextmanager
def openocd_rtt_server(folder: Path, flash: bytes, block: int, size: int) -> Iterator[int]:
    """OpenOCD's server of RTT's channel 0, the STM32F446 running what its `flash` has, with the control `block`."""
    port = free_port()
    with simulated_probe(folder, flash) as config:
        ports = "gdb_port disabled; telnet_port disabled; tcl_port disabled"
        rtt = f'init; sleep 500; rtt setup {block:#x} {size} "SEGGER RTT"; rtt polling_interval 5; rtt start'
        rtt += f"; rtt server start {port} 0"
        command = [openocd(), "-f", config, "-c", ports, "-f", "target/stm32f4x.cfg", "-c", rtt]
        with running(command, folder / "openocd.log", f"Listening on port {port} for rtt"):
            yield port


def pyocd_environment(folder: Path) -> dict[str, str]:
    """That in which pyOCD finds the probe `simulated`; the test skips where there is no pyOCD."""
    if find_spec("pyocd") is None or find_spec("unicorn") is None:
        pytest.skip("pyocd or unicorn is not installed")
    plugin = folder / "simulated_probe-1.dist-info"
    plugin.mkdir(exist_ok=True)
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: simulated-probe\nVersion: 1\n")
    (plugin / "entry_points.txt").write_text("[pyocd.probe]\nsimulated = simulated.pyocd_probe:SimulatedPlugin\n")
    environment = simulated_environment()
    environment["PYTHONPATH"] = f"{folder}{os.pathsep}{environment['PYTHONPATH']}"
    return environment


@contextmanager
def pyocd_server(folder: Path) -> Iterator[int]:
    """pyOCD's GDB server, the same chip behind a probe of a plugin."""
    environment = pyocd_environment(folder)
    port = free_port()
    command = [sys.executable, "-m", "pyocd", "gdbserver", "--no-config", "--port", str(port), "--telnet-port", "0",
               "--persist", "--target", PYOCD_TARGET, "--uid", "simulated"]  # fmt: skip
    with running(command, folder / "pyocd.log", "GDB server (started|listening)", environment):
        yield port
