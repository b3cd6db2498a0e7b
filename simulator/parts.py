"""Many samples in parts, by worker processes: resumable, and the same for any number of them.

Where the samples are cut does not depend on the workers, and results come in the samples' order. What a part gave is
kept beside the compiled programs until all are done, so that a run that was cut goes on where it was.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import driftc
from driftc.codegen.report.stored import REPORT, VERIFIED
from driftc.codegen.samples import Samples
from driftc.simulator.cache import digest
from driftc.simulator.engine import FIRST, Array, Engine, Program, Sample, Starts
from driftc.simulator.kept import Kept
from driftc.simulator.shipped import Shipped
from driftc.simulator.workers import executor

PART = 64  # samples
OF_DRIFTC = (".py", ".j2", ".c", ".h", ".toml")  # files that decide what a part gives
OF_FOLDER = (".c", ".h", ".tflite", ".ld", ".json")
NOT_OF_FOLDER = (REPORT, VERIFIED)  # what was measured, not what is run

Given = TypeVar("Given")
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Part:
    """Samples in a row, the first of which has the number `first`."""

    first: int
    samples: Samples


def cut(samples: Samples, keeps_state: bool) -> list[Part]:
    """Parts of PART samples. Of a model with state none begins within a sequence, so that one may have more."""
    count = len(samples)
    borders = [0]
    for number in sorted(samples.starts) if keeps_state else range(0, count, PART):
        if number - borders[-1] >= PART:
            borders.append(number)
    return [_part(samples, first, last) for first, last in zip(borders, [*borders[1:], count], strict=True)]


def _part(samples: Samples, first: int, last: int) -> Part:
    some = replace(
        samples,
        quantized=samples.quantized[first:last],
        real=samples.real[first:last],
        labels=None if samples.labels is None else samples.labels[first:last],
        starts=frozenset({0, *(number - first for number in samples.starts if first <= number < last)}),
    )
    return Part(first, some)


def in_parts(
    function: Callable[[Given, Part], Result],
    given: Given,
    parts: Sequence[Part],
    workers: int | str,
    about: Sequence[str],
    shipped: Shipped | None = None,
) -> Iterator[Result]:
    """`function` of each part, in their order; whoever stops reading leaves the rest undone. `workers` as in executor.

    `function`, `given` and what it returns are pickled; `shipped` is the folder that it needs. Results are the same
    wherever `about`, driftc itself and the samples are. Raises what `function` does, ToolError where a worker is
    killed.
    """
    kept = Kept("parts", digest([of_driftc(), *about, *(piece for part in parts for piece in content(part.samples))]))
    pickled = pickle.dumps(given)
    with executor(workers, shipped) as (pool, most):
        running: dict[int, Future[Result]] = {}
        missing = iter([number for number in range(len(parts)) if not kept.has(number)])
        for number in range(len(parts)):
            while len(running) < most and (following := next(missing, None)) is not None:
                running[following] = pool.submit(_work, function, pickled, parts[following])
            if number in running:
                result = running.pop(number).result()
                kept.put(number, result)
                yield result
            else:
                yield kept.get(number)
    kept.drop()


def _work(function: Callable[[Any, Part], Result], given: bytes, part: Part) -> Result:
    return function(_unpickled(given), part)


@lru_cache(maxsize=1)
def _unpickled(given: bytes) -> Any:
    return pickle.loads(given)


def of_folder(program: Program) -> list[str]:
    """What the results of `program` depend on, in words and hashes."""
    files = sorted(path for path in program.folder.rglob("*") if path.suffix in OF_FOLDER and path.is_file())
    found = [
        digest([path.relative_to(program.folder).as_posix(), path.read_bytes()])
        for path in files
        if path.name not in NOT_OF_FOLDER
    ]
    return [repr(program.target), repr((program.uploads, program.updated)), *found]


def of_driftc() -> str:
    """What all results depend on."""
    package = Path(driftc.__file__).parent
    folders = (package / name for name in ("codegen", "simulator", "firmware", "templates", "boards"))
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix in OF_DRIFTC)
    return digest([driftc.__version__, *(path.read_bytes() for path in files)])


def content(samples: Samples) -> Iterator[bytes]:
    """The samples' own, labels apart."""
    yield repr(sorted(samples.starts)).encode()
    for quantized, real in zip(samples.quantized, samples.real, strict=True):
        for value in (*quantized, *real):
            yield b"" if value is None else value.tobytes()


class InParts(Engine):
    """`engine`, for `simulate`: its samples are those of worker processes."""

    def __init__(self, engine: Engine, workers: int | str) -> None:
        self.name = engine.name  # type: ignore[misc]
        self._engine, self._workers = engine, workers

    def missing(self) -> str | None:
        return self._engine.missing()

    def run(
        self, program: Program, samples: Sequence[Sequence[Array]], *, trace: bool, starts: Starts = FIRST
    ) -> Iterator[Sample]:
        given = [tuple(sample) for sample in samples]
        every = Samples(given, [(None,) * len(sample) for sample in given], starts=frozenset(starts))
        about = [self.name, repr(trace), *of_folder(program)]
        parts = cut(every, bool(program.state_bytes))
        shipped = Shipped.of(program, self._workers)
        for found in in_parts(_run, (self._engine, shipped, trace), parts, self._workers, about, shipped):
            yield from found


def _run(given: tuple[Engine, Shipped, bool], part: Part) -> list[Sample]:
    engine, shipped, trace = given
    samples = part.samples
    return list(engine.run(shipped.here(), samples.quantized, trace=trace, starts=samples.starts))
