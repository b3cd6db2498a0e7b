"""Samples as MLPerf Tiny stores them: a folder with y_labels.csv and one file a sample."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from driftc.codegen.errors import DataError
from driftc.simulator.mlperf.benchmarks import Benchmark

LABELS = "y_labels.csv"


@dataclass(frozen=True)
class Labelled:
    """A file, its class, and where its inputs begin."""

    path: Path
    label: int
    starts: tuple[int, ...]

    def inputs(self, size: int) -> list[bytes]:
        data = self.path.read_bytes()
        return [data[at : at + size] for at in self.starts]


def labelled(folder: Path, benchmark: Benchmark) -> list[Labelled]:
    """The files in the order of y_labels.csv: file, classes, class and, of ad01, bytes and stride. Raises DataError."""
    try:
        text = (folder / LABELS).read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise DataError(f"{folder}: holds no {LABELS} that can be read") from None
    found = [_row(folder, row, number, benchmark) for number, row in enumerate(csv.reader(text.splitlines()), 1) if row]
    if not found:
        raise DataError(f"{folder / LABELS}: is empty")
    return found


def _row(folder: Path, row: list[str], number: int, benchmark: Benchmark) -> Labelled:
    where = f"{folder / LABELS}: line {number}"
    try:
        name, classes, label, *window = row[0].strip(), *map(int, row[1:])
        size, stride = window or (benchmark.bytes, 0)
    except (ValueError, TypeError):
        raise DataError(f"{where}: is not file,classes,class[,bytes,stride]") from None
    if not name or Path(name).name != name:
        raise DataError(f"{where}: '{name}' is no file of this folder")
    if benchmark.classes is not None and not 0 <= label < benchmark.classes == classes:
        raise DataError(f"{where}: class {label} of {classes}; {benchmark.name} has {benchmark.classes}")
    if benchmark.classes is None and label not in (0, 1):
        raise DataError(f"{where}: class {label}; {benchmark.name} has 0 (normal) and 1")
    path = folder / name
    if not path.is_file():
        raise DataError(f"{where}: there is no {name}")
    length = path.stat().st_size
    if size != benchmark.bytes or length < size or stride < 0 or (not stride and length != size):
        raise DataError(
            f"{where}: {name} has {length} bytes, windows of {size}; {benchmark.name} takes {benchmark.bytes}"
        )
    return Labelled(path, label, tuple(range(0, length - size + 1, stride)) if stride else (0,))
