"""`driftc flash`: from a folder or an image to a board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from driftc.boards import Board
from driftc.boards import load as load_board
from driftc.boards.cores import load_core
from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import UsageError
from driftc.codegen.files import write_file
from driftc.simulator.engine import Target
from driftc.simulator.flash.flash import Way, command, content, plan, program
from driftc.simulator.flash.image import Image, image_of, read_image
from driftc.simulator.flash.tools import UF2


@dataclass(frozen=True)
class Flashing:
    """What is to be programmed, how, and onto which board: the options of `driftc flash`, None where none was given."""

    folder: Path | None = None  # that driftc compiled, whose harness is built; or
    image: Path | None = None  # an ELF or a raw binary
    board: str | None = None  # None: the folder's
    address: str | None = None  # of a raw binary
    transport: str | None = None  # of the harness
    tool: str | None = None
    port: str | None = None
    tool_options: Sequence[str] = ()
    output: Path | None = None  # where the file that is programmed is kept
    dry_run: bool = False

    def __post_init__(self) -> None:
        if (self.folder is None) == (self.image is None):
            raise UsageError("flash takes a folder that driftc compiled, or --image with your own program")
        if self.address is not None and self.image is None:
            raise UsageError("--address belongs to --image: the harness lies where the board's flash begins")
        if self.transport is not None and self.image is not None:
            raise UsageError("--transport belongs to the harness: your own program talks as it does")


def flash(job: Flashing) -> str:
    """Program the board, or with `dry_run` do not; what to tell the user. Raises UsageError and ToolError."""
    compiled = None if job.folder is None else Compiled.load(job.folder)
    name = job.board or (compiled.options.board if compiled is not None else None)
    if name is None:
        raise UsageError("--board is missing: which board is it? 'driftc boards' lists all")
    board, way = load_board(name), Way(job.tool, job.port, job.tool_options)
    fact = plan(board, way)
    if job.image is not None:
        made = _own(job.image, board, fact.name, _number(job.address))
    else:
        assert compiled is not None
        made = _harness(compiled, board, fact.name, job.transport)
    if job.output is not None:
        write_file(job.output, lambda file: file.write(content(fact, made)))
    if job.dry_run:
        placeholder = Path("image.uf2" if fact.name == UF2 else "image.bin")
        return command(board, fact, made, way, job.output or placeholder)
    program(board, fact, made, way)
    return f"{board.key}: {len(made.data):,} B at {made.address:#010x}, programmed with {fact.name.replace('_', '-')}"


def _own(image: Path, board: Board, tool: str, address: int | None) -> Image:
    if tool == "esptool" and address is None:
        address = 0  # of a merged image: boot loader, partitions, program
    return read_image(image, board, address)


def _harness(compiled: Compiled, board: Board, tool: str, transport: str | None) -> Image:
    from driftc.simulator.elf import Elf
    from driftc.simulator.program import build_harness

    if tool == "esptool" and board.start is None:
        raise UsageError(
            f"{board.key}: no compiler in reach of driftc makes programs for its {board.core}; build one "
            "in ESP-IDF, with 'driftc export --to esp-idf' and 'idf.py build merge-bin', and give it with --image"
        )
    lacking = sorted(compiled.features - load_core(board.core).features)
    if lacking:
        needed = ", ".join(lacking).upper()
        raise UsageError(f"{board.key}: has no {needed}, which the C is made for; compile it for the board")
    target = Target(board.core, compiled.options.cc, compiled.options.optimize, board.key)
    elf = build_harness(compiled.program(target), board, transport)
    made = image_of(Elf(elf), board, elf)
    return Image(made.address - board.flash.base, made.data) if tool == "esptool" else made


def _number(text: str | None) -> int | None:
    try:
        found = None if text is None else int(text, 0)
    except ValueError:
        found = -1
    if found is not None and not 0 <= found < 1 << 32:
        raise UsageError(f"--address {text}: is no address of 32 bits, such as 0x10000")
    return found
