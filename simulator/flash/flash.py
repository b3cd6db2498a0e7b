"""Program a board: choose the tool, make its file, run it."""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from driftc.boards import Board, FlashTool
from driftc.codegen.errors import ToolError, UsageError
from driftc.simulator.flash.image import Image
from driftc.simulator.flash.tools import TOOLS, UF2, Job, Tool, find
from driftc.simulator.flash.uf2 import uf2

SECONDS = 300  # for the tool
LINE = 200  # of what it says, at the most
COMPLAINT = r"\b(error|fatal|failed|invalid|cannot|can't|couldn't|could not|unable|unexpected|unrecognized)\b"
DRIVES = ("/media/*/*", "/run/media/*/*", "/mnt/*", "/Volumes/*")
INFO = "INFO_UF2.TXT"  # what every UF2 drive has


@dataclass(frozen=True)
class Way:
    """How a board is to be programmed. `port`: where it is, as the tool takes it; `options` are passed on to it."""

    tool: str | None = None  # None: the first of the board's that is present
    port: str | None = None
    options: Sequence[str] = ()


def plan(board: Board, way: Way) -> FlashTool:
    """The board's tool that is used. Raises UsageError where it has none, ToolError where none is installed."""
    if not board.flash_with:
        with_ = f" over its {board.programmer.probe}" if board.programmer else ""
        raise UsageError(f"{board.key}: driftc knows no tool that programs it{with_}; use its vendor's")
    names = [fact.name for fact in board.flash_with]
    if way.tool is not None:
        wanted = way.tool.replace("-", "_")
        if wanted not in names:
            raise UsageError(f"--tool {way.tool}: does not program {board.key}; there is {', '.join(names)}")
        chosen = board.flash_with[names.index(wanted)]
    else:
        present = [fact for fact in board.flash_with if fact.name == UF2 or find(TOOLS[fact.name].program)]
        chosen = present[0] if present else board.flash_with[0]
    if chosen.name == UF2 and way.options:
        raise UsageError("--tool-option: no tool programs with UF2, a file is copied; name another with --tool")
    return chosen


def command(board: Board, fact: FlashTool, image: Image, way: Way, file: Path) -> str:
    """What is typed into a shell to do the same."""
    if fact.name == UF2:
        return shlex.join(["cp", str(file), way.port or f"(the drive with {INFO})"])
    job = Job(board, file, image.address, way.port, way.options)
    return shlex.join([TOOLS[fact.name].program, *TOOLS[fact.name].command(fact, job)])


def content(fact: FlashTool, image: Image) -> bytes:
    """The file that the tool takes."""
    return uf2(image.address, image.data, fact.fact) if fact.name == UF2 else image.data


def program(board: Board, fact: FlashTool, image: Image, way: Way) -> None:
    """Run the tool, or copy the file. Raises ToolError, with what the tool said, where it does not succeed."""
    if fact.name == UF2:
        _copy(Path(way.port) if way.port else _drive(), content(fact, image))
        return
    tool = TOOLS[fact.name]
    found = find(tool.program)
    if found is None:
        raise ToolError(f"{tool.program}, which programs {board.key}, is not installed ({tool.install})")
    with tempfile.TemporaryDirectory(prefix="driftc-") as folder:
        file = Path(folder, "image.bin")
        file.write_bytes(image.data)
        words = [found, *tool.command(fact, Job(board, file, image.address, way.port, way.options))]
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=SECONDS,
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise ToolError(f"{tool.program}: not done after {SECONDS} s; is {board.key} connected?") from None
        except OSError as error:
            raise ToolError(f"{found}: {error.strerror}") from None
    said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    if done.returncode != 0 or (fact.name == "openocd" and not any("** Verified OK **" in line for line in said)):
        raise ToolError(_failure(board, tool, done.returncode, said))


def _failure(board: Board, tool: Tool, code: int, said: list[str]) -> str:
    """One line: the tool's own that says why."""
    for line in said:
        if re.search(tool.absent, line):
            return (
                f"{tool.program} found no {board.key} (exit code {code}): {line[:LINE]}; is it connected, and in its "
                f"boot loader where it needs to be? --port says where it is: {tool.port}"
            )
    why = next((line for line in said if re.search(COMPLAINT, line, re.IGNORECASE)), said[-1] if said else "no word")
    return (
        f"{tool.program} failed to program {board.key} (exit code {code}): {why[:LINE]}; --dry-run prints the command"
    )


def _drive() -> Path:
    found = [info.parent for pattern in DRIVES for info in Path("/").glob(f"{pattern[1:]}/{INFO}")]
    if len(found) != 1:
        reason = "no drive of a UF2 boot loader is there" if not found else f"{len(found)} UF2 drives are there"
        raise ToolError(f"{reason}; start the board's boot loader, and name its drive with --port")
    return found[0]


def _copy(drive: Path, data: bytes) -> None:
    if not (drive / INFO).is_file():
        raise ToolError(f"{drive}: is no UF2 boot loader's drive ({INFO} is missing)")
    try:
        (drive / "driftc.uf2").write_bytes(data)
    except OSError as error:
        raise ToolError(f"{drive}: cannot be written: {error.strerror}") from None
