"""Boards on LabWired, an emulator of whole chips that others write (PyPI: labwired), from the bytes in their flash."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from serial_boards import emulator_line

from driftc.boards import Board
from driftc.boards.cores import TABLE_BYTES, load_core
from driftc.simulator.elf import Elf
from driftc.simulator.flash.image import MACHINES, image_of
from driftc.simulator.flash.tools import UF2

OWN = Path(__file__).resolve().parent / "platforms" / "labwired"
PROGRAM = Path(__file__).resolve().parent / "simulated" / "labwired_serial.py"
# Where the boot ROM jumps to, from the start of the flash; without one it goes by the vector table.
ENTRIES = {"esp32c3": 8, "esp32c6": 8}


@dataclass(frozen=True)
class Chip:
    name: str  # LabWired's file
    uart: str  # and its name of the serial port
    more: str = ""  # peripherals that it lacks, as its file would have them; "../own" is platforms/labwired
    core: str | None = None  # whose code it runs instead of the board's: LabWired 0.25 errs in the DSP extension's


@dataclass(frozen=True)
class Boot:
    """A board's flash and what runs it."""

    system: Path
    elf: Path
    uart: str

    def sim(self) -> Any:
        """In this process."""
        return import_module("labwired").Sim(self.elf, system=self.system, uart=self.uart)


def boot(built: Path, board: Board, chip: Chip, folder: Path) -> Boot:
    """`built` as the tool would program it, on the chip. Files are kept in `folder`."""
    spec = find_spec("labwired")
    if spec is None or spec.origin is None:
        pytest.skip("labwired is not installed")
    configs = Path(spec.origin).parent / "configs"
    kept = folder / "configs"
    for part in ("chips", "systems"):
        (kept / part).mkdir(parents=True)
    (kept / "peripherals").symlink_to(configs / "peripherals")
    (kept / "own").symlink_to(OWN)
    (kept / "chips" / "chip.yaml").write_text((configs / "chips" / f"{chip.name}.yaml").read_text() + chip.more)
    system = kept / "systems" / "board.yaml"
    system.write_text(f'name: "{board.key}"\nchip: "../chips/chip.yaml"\nexternal_devices: []\n')
    elf = folder / "flash.elf"
    elf.write_bytes(_program(built, board))
    return Boot(system, elf, chip.uart)


@contextmanager
def labwired(built: Path, board: Board, chip: Chip, folder: Path) -> Iterator[str]:
    """The board's serial port."""
    made = boot(built, board, chip, folder)
    with emulator_line(f"'{sys.executable}' {PROGRAM} {made.system} {made.elf} {made.uart}", folder) as port:
        yield port


def _program(built: Path, board: Board) -> bytes:
    """An ELF of the flash's bytes, wherever the chip shows them, which starts as its boot ROM or its core does."""
    image = image_of(Elf(built), board, built)
    offset = ENTRIES.get(board.start or "")
    entry = int.from_bytes(image.data[4:8], "little") if offset is None else image.address + offset
    parts = [(image.address, image.data)]
    if board.constants is not None:
        parts.append((board.constants, image.data))
    if any(fact.name == UF2 for fact in board.flash_with) and board.start is None:
        # Behind a boot loader, which makes this its vector table.
        parts.append((0, image.data[:TABLE_BYTES]))
    machine = MACHINES[load_core(board.core).port]
    at = 52 + 32 * len(parts)
    head = struct.pack(
        "<4s12s2H5I6H", b"\x7fELF", bytes([1, 1, 1]), 2, machine, 1, entry, 52, 0, 0, 52, 32, len(parts), 40, 0, 0
    )
    table, content = b"", b""
    for place, data in parts:
        table += struct.pack("<8I", 1, at + len(content), place, place, len(data), len(data), 7, 4)
        content += data
    return head + table + content
