"""The tools that program boards: what each is called, how it is installed, its command. A new one is one entry here.

The commands are those of OpenOCD 0.12 (`program`), pyOCD 0.46 (`flash`), stlink-tools 1.7, dfu-util 0.11, picotool 2.1
and esptool 5; each is what its own help says.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from driftc.boards import Board, FlashTool

UF2 = "uf2"  # a copy to a drive: no program


@dataclass(frozen=True)
class Job:
    """One programming: which board, what file at which address, where the board is, and what more the tool is told."""

    board: Board
    file: Path
    address: int
    port: str | None
    options: Sequence[str]


@dataclass(frozen=True)
class Tool:
    """`command` gives the words that follow the program's name, for the board's fact of the tool."""

    program: str
    install: str
    port: str  # what --port is for this tool
    absent: str  # what it says where it finds no board, as a pattern
    command: Callable[[FlashTool, Job], list[str]]


def _openocd(fact: FlashTool, job: Job) -> list[str]:
    interface, *targets = fact.fact
    scripts = [word for script in (job.port or interface, *targets) for word in ("-f", script)]
    return [*scripts, *job.options, "-c", f"program {{{job.file}}} verify reset exit {job.address:#010x}"]


def _pyocd(fact: FlashTool, job: Job) -> list[str]:
    probe = ["--uid", job.port] if job.port else []
    base = ["--base-address", f"{job.address:#x}", "--format", "bin"]
    return ["flash", "--no-wait", "--target", fact.fact, *probe, *base, *job.options, str(job.file)]


def _st_flash(fact: FlashTool, job: Job) -> list[str]:
    probe = ["--serial", job.port] if job.port else []
    return ["--reset", *probe, *job.options, "write", str(job.file), f"{job.address:#010x}"]


def _dfu(fact: FlashTool, job: Job) -> list[str]:
    device = ["-S", job.port] if job.port else []
    start = f"{job.address:#010x}:leave"
    return ["-d", fact.fact, "-a", "0", *device, *job.options, "-s", start, "-D", str(job.file)]


def _picotool(fact: FlashTool, job: Job) -> list[str]:
    device = ["--ser", job.port] if job.port else []
    return ["load", "-v", "-x", str(job.file), "-t", "bin", "-o", f"{job.address:#x}", *device, *job.options]


def _esptool(fact: FlashTool, job: Job) -> list[str]:
    assert job.board.programmer is not None
    port = ["--port", job.port] if job.port else []
    return [
        "--chip",
        job.board.programmer.device,
        *port,
        *job.options,
        "write-flash",
        f"{job.address:#x}",
        str(job.file),
    ]


TOOLS = {
    "openocd": Tool("openocd", "Debian: apt-get install openocd; macOS: brew install openocd",
                    "OpenOCD's script for the probe",
                    "open failed|unable to find a matching|No J-Link device found|no device found", _openocd),
    "pyocd": Tool("pyocd", 'pip install "driftc[flash]"', "a probe's unique id", "No connected debug probe", _pyocd),
    "st_flash": Tool("st-flash", "Debian: apt-get install stlink-tools; macOS: brew install stlink",
                     "a probe's serial number", "Couldn't find any ST-Link", _st_flash),
    "dfu": Tool("dfu-util", "Debian: apt-get install dfu-util; macOS: brew install dfu-util",
                "a device's serial number", "No DFU capable USB device", _dfu),
    "picotool": Tool("picotool", "Debian 13: apt-get install picotool; macOS: brew install picotool",
                     "a device's serial number", "No accessible RP-series devices", _picotool),
    "esptool": Tool("esptool", 'pip install "driftc[flash]"', "a serial port",
                    "Could not (open|connect)|No serial ports", _esptool),
}  # fmt: skip


def find(program: str) -> str | None:
    """On PATH, or beside the Python that runs driftc."""
    return shutil.which(program) or shutil.which(program, path=str(Path(sys.executable).parent))
