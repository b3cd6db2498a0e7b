"""The `semihosting` engine: the harness on a board, whose debugger keeps its files (firmware/ports/semihosting.h)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar
from urllib.parse import SplitResult

from driftc.codegen.errors import ToolError, UsageError
from driftc.codegen.files import write_file
from driftc.simulator.engine import FIRST, Array, Engine, Program, Sample, Starts
from driftc.simulator.hardware import numbers
from driftc.simulator.serial_engine import model_id
from driftc.simulator.stream import Batch, Decoder, encode

TIMEOUT = 60
POLL_SECONDS = 0.02


def semihosting_engine(parts: SplitResult) -> SemihostingEngine:
    """Of an address semihosting://FOLDER?timeout=60, where the debugger was started."""
    folder = Path(parts.netloc + parts.path)
    if not parts.netloc + parts.path or not folder.is_dir():
        raise UsageError(
            f"--on {parts.geturl()}: there is no such folder; semihosting://FOLDER, where the debugger runs"
        )
    return SemihostingEngine(folder, timeout=numbers(parts, {"timeout": TIMEOUT})["timeout"])


def file_names(program: Program) -> tuple[str, str]:
    """The samples' and the results'; they tell the model's C from any other."""
    stem = f"{program.name}-{model_id(program).hex()}"
    return f"{stem}.in", f"{stem}.out"


class SemihostingEngine(Engine):
    """After a reset the board waits for its samples; when it has done them it ends, up to the next reset."""

    name: ClassVar[str] = "semihosting"

    def __init__(self, folder: Path, *, timeout: float = TIMEOUT) -> None:
        """`timeout`: seconds from one result to the next, the first of which may wait for a reset by hand."""
        self._folder = folder
        self._timeout = timeout

    def missing(self) -> str | None:
        return None

    def run(
        self, program: Program, samples: Sequence[Sequence[Array]], *, trace: bool, starts: Starts = FIRST
    ) -> Iterator[Sample]:
        """Nothing is measured: each debugger call halts the core for as long as the debugger likes."""
        samples_file, results_file = (self._folder / name for name in file_names(program))
        content = encode(program, Batch.of(samples, 0, len(samples), starts, b""))
        try:
            results_file.unlink(missing_ok=True)
            write_file(samples_file, lambda file: file.write(content))
            yield from self._results(program, results_file, len(samples), trace)
        finally:
            samples_file.unlink(missing_ok=True)

    def _results(self, program: Program, path: Path, count: int, trace: bool) -> Iterator[Sample]:
        decoder, at, done = Decoder(program, trace=True), 0, 0
        until = time.monotonic() + self._timeout
        while done < count:
            data = self._more(path, at)
            at += len(data)
            for run in decoder.feed(data):
                if not trace:
                    run.sample.tensors.clear()
                done += 1
                yield run.sample
            if data:
                until = time.monotonic() + self._timeout
            elif time.monotonic() > until:
                raise self._silent(path, done, count)
            else:
                time.sleep(POLL_SECONDS)

    def _more(self, path: Path, at: int) -> bytes:
        try:
            with path.open("rb") as file:
                file.seek(at)
                return file.read()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise ToolError(f"{path}: cannot be read: {error.strerror}") from None

    def _silent(self, path: Path, done: int, count: int) -> ToolError:
        if path.exists():
            return ToolError(
                f"{path}: {done} of {count} results, and no more within {self._timeout:g} s; reset the board"
            )
        return ToolError(
            f"{self._folder}: the board wrote no {path.name} within {self._timeout:g} s; start its debugger in this "
            "folder with semihosting, and reset it; is this harness flashed (driftc flash --transport semihosting)?"
        )
