"""An emulated RP2040 that starts from a UF2 file, as its boot ROM does; its UART is a serial port."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from exported import tools
from serial_boards import emulator_line

from driftc.boards import Board
from driftc.simulator.elf import Elf
from driftc.simulator.flash.image import image_of
from driftc.simulator.flash.uf2 import uf2

EMULATOR = Path(__file__).resolve().parent / "platforms" / "rp2040" / "serial.cjs"


@contextmanager
def rp2040(elf: Path, board: Board, folder: Path) -> Iterator[str]:
    """The chip with `elf` in its flash, once it has said something: its port. Files are kept in `folder`."""
    if shutil.which("node") is None:
        pytest.skip("node is absent; .ci/tools installs it")
    modules = tools() / "node" / "node_modules"
    image = image_of(Elf(elf), board, elf)
    assert image.address == board.flash.base
    (folder / "program.uf2").write_bytes(uf2(image.address, image.data, 0xE48BFF56))
    with emulator_line(f"node {EMULATOR} {modules} {folder}/program.uf2", folder) as port:
        yield port
