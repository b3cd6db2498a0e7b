"""Who answers: worker processes, each of which loads the task for itself. What is answered is kept, cell by cell."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import audio
import images
import motion
import numpy as np
from rows import Classifier, classifier, make, models_of
from task import Samples, Task

import driftc
from driftc.codegen.adaptation import calibrated
from driftc.simulator.workers import executor

TASKS: dict[str, tuple[Callable[[Path], Path], Callable[..., Task]]] = {
    "resnet8": (images.resnet8, images.load),
    "resnet8-folded": (images.folded, images.load),
    "resnet20": (images.resnet20, images.load),
    "motion": (motion.model, motion.load),
    "audio": (audio.model, audio.load),
}


class Cell(NamedTuple):
    """A row's answers to a clean set (severity 0) or to a kind of shift."""

    row: str
    which: str
    severity: int


class Step(NamedTuple):
    """`done` of `total` models and cells; the last was of `row`."""

    row: str
    done: int
    total: int


@dataclass(frozen=True)
class Work:
    """What a worker needs to know to load the task and to find what is kept."""

    name: str
    split: str
    samples: int
    fold: int
    layers: str
    settings: tuple[str, ...]
    out: Path
    folder: Path

    def task(self) -> Task:
        return _task(self)

    def kept(self, cell: Cell) -> Path:
        """The classes that `cell` says, int64 [n]."""
        task = self.task()
        y = task.clean[cell.which][1] if cell.severity == 0 else task.base[2]
        which = cell.which if cell.severity == 0 else f"{cell.which}_{cell.severity}"
        return self.folder / "results" / cell.row / f"{self.split}_{len(y)}_{which}.npy"


@lru_cache(maxsize=1)
def _task(work: Work) -> Task:
    model, load = TASKS[work.name]
    fold = (work.fold,) if work.fold else ()
    return replace(load(model(work.out), work.split, work.samples, *fold), layers=work.layers)


@lru_cache(maxsize=2)
def _shifted(work: Work, kind: str, severity: int) -> Samples:
    return work.task().shifted(kind, severity)


@lru_cache(maxsize=2)
def _classifier(work: Work, row: str) -> Classifier:
    return classifier(row, work.folder)


def each_of(work: Work, cells: Sequence[Cell], workers: int) -> Iterator[Step]:
    """Have all `cells` answered and kept that are not yet, by so many processes; a step for each that is done.

    Raises what a worker does, ToolError where one is killed.
    """
    missing = [cell for cell in cells if not work.kept(cell).is_file()]
    models = models_of(dict.fromkeys(cell.row for cell in missing), work.folder)
    done, total = len(cells) - len(missing), len(cells) + sum(map(len, models))
    if not missing:
        return
    with executor(workers) as (pool, _):
        for some in models:  # those of one group need those of the groups before
            rows = {pool.submit(_make, work, row): row for row in some}
            for row in _ended(rows):
                yield Step(row, done := done + 1, total)
        answers = {pool.submit(_answer, work, cell): cell.row for cell in missing}
        for row in _ended(answers):
            yield Step(row, done := done + 1, total)


def _ended(rows: dict[Future[None], str]) -> Iterator[str]:
    for future in as_completed(rows):
        future.result()
        yield rows[future]


def _make(work: Work, row: str) -> None:
    tuned(work.settings)
    make(row, work.task(), work.folder)


def _answer(work: Work, cell: Cell) -> None:
    tuned(work.settings)
    kept = work.kept(cell)
    kept.parent.mkdir(parents=True, exist_ok=True)
    samples = _shifted(work, cell.which, cell.severity) if cell.severity else work.task().clean[cell.which][0]
    part = kept.with_suffix(".part.npy")
    np.save(part, _classifier(work, cell.row)(samples))
    part.replace(kept)  # whole or not at all


def tuned(settings: Sequence[str]) -> None:
    """Change constants of `calibrated` for a trial. Raises ValueError."""
    for setting in settings:
        name, _, value = setting.partition("=")
        if not hasattr(calibrated, name):
            raise ValueError(f"{setting}: calibrated has no {name}")
        setattr(calibrated, name, type(getattr(calibrated, name))(float(value)))


def sources() -> str:
    """A hash of what the results depend on."""
    found = hashlib.sha256()
    package = Path(driftc.__file__).parent
    parts = [package / name for name in ("codegen", "simulator", "templates", "firmware")]
    for folder in (*parts, Path(__file__).parent):
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".py", ".j2", ".c", ".h"):
                found.update(path.read_bytes())
    return found.hexdigest()[:12]
