"""What is programmed: bytes and where they go, from an ELF or a raw binary, checked against the board."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from driftc.boards import Board
from driftc.boards.cores import LADDER, load_core
from driftc.codegen.errors import UsageError, first_line
from driftc.simulator.elf import Elf
from driftc.simulator.flash.uf2 import MAGIC

ELF = b"\x7fELF"
MACHINES = {"cortex_m": 40, "riscv": 243, "xtensa": 94}  # e_machine (System V ABI, the ELF header)
GAP = b"\0"  # as picotool and objcopy fill it


@dataclass(frozen=True)
class Image:
    """Bytes without a gap."""

    address: int
    data: bytes


def read_image(path: Path, board: Board, address: int | None) -> Image:
    """An ELF, or a raw binary that goes to `address` (None: the start of the flash). Raises UsageError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    if not content:
        raise UsageError(f"{path}: is empty")
    if content.startswith(MAGIC) or content.startswith(b":"):
        kind = "UF2" if content.startswith(MAGIC) else "Intel HEX"
        raise UsageError(f"{path}: is a {kind} file; give the ELF or the raw binary that it was made from")
    if not content.startswith(ELF):
        return _inside(path, board, Image(board.flash.base if address is None else address, content), address is None)
    if address is not None:
        raise UsageError(f"{path}: an ELF says itself where it goes; leave out --address")
    if int.from_bytes(content[18:20], "little") != MACHINES[load_core(board.core).port]:
        raise UsageError(f"{path}: is a program for another processor than {board.key}'s {board.core}")
    try:
        elf = Elf(path)
    except Exception as error:  # the library's own kinds are many
        raise UsageError(f"{path}: is a damaged ELF: {first_line(error)}") from None
    return image_of(elf, board, path)


def image_of(elf: Elf, board: Board, path: Path) -> Image:
    """The loaded parts of `elf`, which `path` names in messages. Raises UsageError where it is for another board."""
    core = load_core(board.core)
    if elf.arm_architecture is not None and elf.arm_architecture > LADDER.index(core.architecture):
        wanted = LADDER[elf.arm_architecture]
        raise UsageError(f"{path}: is a program for {wanted}, {board.key} has a {core.id} ({core.architecture})")
    parts = sorted(elf.segments)
    if not parts:
        raise UsageError(f"{path}: nothing of it is loaded")
    for address, data in parts:
        _inside(path, board, Image(address, data), True)
    start = parts[0][0]
    whole = bytearray()
    for address, data in parts:
        whole += GAP * (address - start - len(whole)) + data
    return Image(start, bytes(whole))


def _inside(path: Path, board: Board, image: Image, checked: bool) -> Image:
    flash = board.flash
    end = image.address + len(image.data)
    if checked and not flash.base <= image.address <= end <= flash.end:
        raise UsageError(
            f"{path}: {len(image.data):,} B at {image.address:#010x} do not lie in the flash of {board.key}, "
            f"{flash.base:#010x} to {flash.end:#010x}; is it for another board?"
        )
    return image
