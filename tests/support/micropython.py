"""MicroPython on this machine and on emulated boards: runs scripts, with files in a read-only file system."""

from __future__ import annotations

import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from exported import shell, tools


@dataclass(frozen=True)
class Board:
    """A QEMU machine that MicroPython's QEMU port runs on."""

    firmware: str  # in the tools' folder
    command: str
    files_at: int  # where in RAM, behind what MicroPython uses, the file system is put


ARM = Board("micropython-arm", "qemu-system-arm -machine mps2-an385", 0x2180_0000)
RV32 = Board("micropython-rv32", "qemu-system-riscv32 -machine virt -bios none -m 128M", 0x8600_0000)


def on_this_machine(program: Path, folder: Path, script: str) -> str:
    """What `script` prints there, run in `folder`."""
    (folder / "script.py").write_text(script)
    return shell(f"{program} -X heapsize=1m script.py", folder)


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
