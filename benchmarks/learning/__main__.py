"""Learning on the device: what it gains, loses and costs, over several draws of the samples.

    python benchmarks/learning [--task words|speakers] [--draws 4] [--rows before,classifier,...] [--out build/learning]

`words`: a keyword spotter of eight spoken digits learns two more, 20 samples each; `speakers`: one of ten digits meets
a speaker that it was not trained on, 3 samples a digit. Rows are those of rows.py: `classifier` is --learn as compiled,
`unchecked` the same with --learn-guard off, `tinyol` without references; each is what the integers of the device
compute, but for `unchecked-float`. Models are trained once and kept in --out, with a CSV of the table. Needs the extra
keras, and DRIFTC_DATA.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rows import ROWS, Row
from tasks import TASKS, Task

Scores = list[tuple[float, float]]


def spread(values: Sequence[float]) -> str:
    """Mean and standard error, in percent."""
    found = 100 * np.asarray(values)
    error = found.std(ddof=1) / np.sqrt(len(found)) if len(found) > 1 else float("nan")
    return f"{found.mean():.1f} +- {error:.1f}"


def run(task: Task, row: Row, draws: int) -> Scores:
    """Old and new accuracy, a pair for each draw (and person or speaker)."""
    return [row.scores(task, draw) for draw in task.draws(draws)]


@click.command()
@click.option("--task", "names", type=click.Choice(sorted(TASKS)), multiple=True, default=("words", "speakers"))
@click.option("--draws", default=4, show_default=True)
@click.option("--rows", default=",".join(ROWS), show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/learning"), show_default=True)
def main(names: tuple[str, ...], draws: int, rows: str, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        task = TASKS[name](out)
        table = Table(title=f"{name}: {task.described}")
        for column in ("row", "old", "new", "mean", "stored B", "trained weights"):
            table.add_column(column, justify="left" if column == "row" else "right")
        lines = []
        with Progress(console=Console(stderr=True), transient=True) as progress:
            for title in progress.track(rows.split(","), description=name):
                row = ROWS[title]
                found = run(task, row, draws)
                old, new = [pair[0] for pair in found], [pair[1] for pair in found]
                mean = [(a + b) / 2 for a, b in found]
                stored, weights = row.costs(task)
                cells = (title, spread(old), spread(new), spread(mean), f"{stored:,}", f"{weights:,}")
                table.add_row(*cells)
                lines.append(cells)
        Console(file=sys.stdout, width=110).print(table)
        with (out / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("row", "old", "new", "mean", "stored", "weights"), *lines])


if __name__ == "__main__":
    main()
