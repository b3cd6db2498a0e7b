"""MicroPython on this machine and on emulated boards: runs scripts, with files in a read-only file system."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from commands import driftc
from exported import shell, tools

from driftc.codegen.compiled import Compiled


@dataclass(frozen=True)
class Board:
    """A QEMU machine that MicroPython's QEMU port runs on."""

    firmware: str  # in the tools' folder
    command: str
    files_at: int  # where in RAM, behind what MicroPython uses, the file system is put


ARM = Board("micropython-arm", "qemu-system-arm -machine mps2-an385", 0x2180_0000)
RV32 = Board("micropython-rv32", "qemu-system-riscv32 -machine virt -bios none -m 128M", 0x8600_0000)

# A file system that can be written, which the QEMU port lacks.
DISK = """
import io, sys, vfs
def clean(path):
    return path.lstrip("./").rstrip("/")
class File(io.BytesIO):
    def close(self):
        self.files[self.name] = self.getvalue()
    def __enter__(self):
        return self
    def __exit__(self, *problem):
        self.close()
class Disk:
    files = {}
    folders = {""}
    def mount(self, readonly, mkfs):
        pass
    def chdir(self, path):
        pass
    def getcwd(self):
        return "/"
    def mkdir(self, path):
        self.folders.add(clean(path))
    def stat(self, path):
        path = clean(path)
        if path not in self.folders and path not in self.files:
            raise OSError(2)
        kind, size = (0x4000, 0) if path in self.folders else (0x8000, len(self.files[path]))
        return (kind, 0, 0, 0, 0, 0, size, 0, 0, 0)
    def open(self, path, mode):
        path = clean(path)
        if "w" in mode:
            file = File()
            file.files, file.name = self.files, path
            return file
        if path not in self.files:
            raise OSError(2)
        return io.BytesIO(self.files[path])
vfs.mount(Disk(), "/")
sys.path.append("/lib")
"""


@contextmanager
def board_for_mpremote(board: Board, folder: Path, firmware: Path | None = None) -> Iterator[Path]:
    """Runs the emulated board with an empty disk; gives a folder with an `mpremote` that speaks with it."""
    firmware = firmware or tools() / board.firmware / "firmware.elf"
    command = f"{board.command} -nographic -monitor none -semihosting -serial pty -kernel {firmware}"
    place = folder / "bin"
    place.mkdir()
    with subprocess.Popen(command.split(), stdout=subprocess.PIPE, text=True) as machine:
        try:
            assert machine.stdout is not None
            said = re.search(r"redirected to (\S+)", machine.stdout.readline())
            assert said is not None
            mpremote = tools() / "venv" / "bin" / "mpremote"
            (place / "mpremote").write_text(f'#!/bin/sh\nexec {mpremote} connect {said[1]} resume "$@"\n')
            (place / "mpremote").chmod(0o755)
            (place / "disk.py").write_text(DISK)
            shell("mpremote run disk.py", place, path=place)
            yield place
        finally:
            machine.kill()


def on_this_machine(program: Path, folder: Path, script: str, options: str = "-X heapsize=1m") -> str:
    """What `script` prints there, run in `folder`."""
    (folder / "script.py").write_text(script)
    return shell(f"{program} {options} script.py", folder)


def on_board(board: Board, files: Path, script: str, firmware: Path | None = None, options: str = "") -> str:
    """What `script` prints on the emulated board, where the files of the folder are in /rom and can be imported."""
    image = files.with_suffix(".romfs")
    shell(f"mpremote romfs --no-mpy -o {image} build {files}", files, path=tools() / "venv" / "bin")
    firmware = firmware or tools() / board.firmware / "firmware.elf"
    loader = f"-device loader,file={image},addr={board.files_at:#x},force-raw=on"
    where = f"uctypes.bytearray_at({board.files_at:#x}, {image.stat().st_size})"
    mount = f"import sys, vfs, uctypes\nvfs.mount(vfs.VfsRom({where}), '/rom')\nsys.path.append('/rom')\n"
    console = "-nographic -monitor none -semihosting -serial stdio"
    command = f"{board.command} {options} {console} {loader} -kernel {firmware}"
    with subprocess.Popen(command.split(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as machine:
        assert machine.stdin is not None
        assert machine.stdout is not None
        watch = threading.Timer(120, machine.kill)
        watch.start()
        try:
            _until(machine, b">>> ")
            _send(machine, b"\x01")  # the raw mode that tools speak
            _until(machine, b">")
            _send(machine, (mount + script).encode() + b"\x04")
            _until(machine, b"OK")
            printed = _until(machine, b"\x04")
            error = _until(machine, b"\x04")
        finally:
            watch.cancel()
            machine.kill()
    assert error == b"", error.decode()
    return printed.decode().replace("\r\n", "\n")


def _send(machine: subprocess.Popen[bytes], data: bytes) -> None:
    """By and by: the emulated UART has no buffer."""
    assert machine.stdin is not None
    assert machine.stdout is not None
    for byte in range(0, len(data), 16):
        machine.stdin.write(data[byte : byte + 16])
        machine.stdin.flush()


def _until(machine: subprocess.Popen[bytes], end: bytes) -> bytes:
    """What the board writes up to `end`, without it."""
    assert machine.stdout is not None
    found = b""
    while not found.endswith(end):
        byte = machine.stdout.read(1)
        assert byte, f"the board stopped after {found!r}"
        found += byte
    return found[: -len(end)]


def printed_by(tmp_path: Path, found: Compiled, script: str) -> tuple[str, str]:
    """What a script prints that imports the model as a native module: on this machine, and on an emulated board."""
    tree = tools() / "micropython"
    found.write(tmp_path / "net")
    driftc(
        "export", "net", "--to", "mpy", "-o", "package", "--micropython", tree, "--arch", "x64", "--arch", "armv7m",
        cwd=tmp_path,
    )  # fmt: skip
    program = tools() / "micropython-unix" / "micropython"
    here = on_this_machine(program, tmp_path / "package" / "x64_6.3", script)
    files = tmp_path / "files"
    files.mkdir()
    shutil.copy(tmp_path / "package" / "armv7m_6.3" / "net.mpy", files)
    return here, on_board(ARM, files, script)
