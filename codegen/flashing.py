"""`driftc flash`: from a folder or an image to a board."""

from __future__ import annotations

from collections.abc import Sequence
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


def flash(
    folder: Path | None,
    board: str | None,
    image: Path | None,
    address: str | None,
    tool: str | None,
    port: str | None,
    options: Sequence[str],
    output: Path | None,
    dry_run: bool,
    transport: str | None = None,
) -> str:
    """Program the board, or with `dry_run` do not; what to tell the user. Raises UsageError and ToolError."""
    if (folder is None) == (image is None):
        raise UsageError("flash takes a folder that driftc compiled, or --image with your own program")
    if address is not None and image is None:
        raise UsageError("--address belongs to --image: the harness lies where the board's flash begins")
    if transport is not None and image is not None:
        raise UsageError("--transport belongs to the harness: your own program talks as it does")
    compiled = None if folder is None else Compiled.load(folder)
    name = board or (compiled.options.board if compiled is not None else None)
    if name is None:
        raise UsageError("--board is missing: which board is it? 'driftc boards' lists all")
    facts, way = load_board(name), Way(tool, port, options)
    fact = plan(facts, way)
    made = _image(facts, fact.name, compiled, image, _number(address), transport)
    if output is not None:
        write_file(output, lambda file: file.write(content(fact, made)))
    if dry_run:
        placeholder = Path("image.uf2" if fact.name == UF2 else "image.bin")
        return command(facts, fact, made, way, output or placeholder)
    program(facts, fact, made, way)
    return f"{facts.key}: {len(made.data):,} B at {made.address:#010x}, programmed with {fact.name.replace('_', '-')}"


def _image(
    board: Board, tool: str, compiled: Compiled | None, image: Path | None, address: int | None, transport: str | None
) -> Image:
    if image is not None:
        if tool == "esptool" and address is None:
            address = 0  # of a merged image: boot loader, partitions, program
        return read_image(image, board, address)
    assert compiled is not None
    from driftc.simulator.elf import Elf
    from driftc.simulator.program import build_harness

    if tool == "esptool":
        raise UsageError(
            f"{board.key}: its ROM starts what ESP-IDF's boot loader loads, which driftc does not build; make a "
            "program with 'driftc export --to esp-idf', and give it with --image"
        )
    lacking = sorted(compiled.features - load_core(board.core).features)
    if lacking:
        needed = ", ".join(lacking).upper()
        raise UsageError(f"{board.key}: has no {needed}, which the C is made for; compile it for the board")
    target = Target(board.core, compiled.options.cc, compiled.options.optimize, board.key)
    elf = build_harness(compiled.program(target), board, transport)
    return image_of(Elf(elf), board, elf)


def _number(text: str | None) -> int | None:
    try:
        found = None if text is None else int(text, 0)
    except ValueError:
        found = -1
    if found is not None and not 0 <= found < 1 << 32:
        raise UsageError(f"--address {text}: is no address of 32 bits, such as 0x10000")
    return found
