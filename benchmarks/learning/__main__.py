"""Learning on the device: what it gains, loses and costs, over several draws of the samples.

    python benchmarks/learning [--task words|speakers|resnet8|resnet20|published] [--draws 4]
                               [--rows before,classifier,...] [--samples 500] [--out build/learning]

`words`: a keyword spotter of eight spoken digits learns two more, 20 samples each; `speakers`: one of ten digits meets
a speaker that it was not trained on, 3 samples a digit. Rows are those of rows.py: `classifier` is --learn as compiled,
`unchecked` the same with --learn-guard off, `tinyol` without references; each is what the integers of the device
compute, but for `unchecked-float`. `resnet8`, `resnet20`: with live layers they meet --samples images of each of six
corruptions, one by one and without labels; rows are those of streams.py. `published`: ResNet-8 in float meets the same
by TENT and by EcoTTA as it was published (published.py). Models are trained once and kept in --out, with a CSV of each
table, and of streams a plot. Needs the extras keras and benchmarks, `resnet20` onnx, `published` torch; DRIFTC_DATA.
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
from streams import COLUMNS, run_streams
from tasks import TASKS, Task

STREAMS = ("resnet8", "resnet20")
Scores = list[tuple[float, float]]


def spread(values: Sequence[float]) -> str:
    """Mean and standard error, in percent."""
    found = 100 * np.asarray(values)
    error = found.std(ddof=1) / np.sqrt(len(found)) if len(found) > 1 else float("nan")
    return f"{found.mean():.1f} +- {error:.1f}"


def run(task: Task, row: Row, draws: int) -> Scores:
    """Old and new accuracy, a pair for each draw (and person or speaker)."""
    return [row.scores(task, draw) for draw in task.draws(draws)]


def show(name: str, described: str, columns: Sequence[str], lines: Sequence[Sequence[str]], out: Path) -> None:
    """Print the table, and keep it as CSV."""
    table = Table(title=f"{name}: {described}")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for line in lines:
        table.add_row(*line)
    Console(file=sys.stdout, width=110).print(table)
    with (out / f"{name}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *lines])


@click.command()
@click.option(
    "--task",
    "names",
    type=click.Choice([*sorted(TASKS), *STREAMS, "published"]),
    multiple=True,
    default=("words", "speakers"),
)
@click.option("--draws", default=4, show_default=True)
@click.option("--rows", default=",".join(ROWS), show_default=True)
@click.option("--samples", default=500, show_default=True, help="Of each corruption in a stream.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/learning"), show_default=True)
def main(names: tuple[str, ...], draws: int, rows: str, samples: int, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        if name in STREAMS:
            show(name, f"{samples} a kind", COLUMNS, run_streams(name, out, samples, draws), out)
            continue
        if name == "published":
            import published

            show(name, f"{samples} a kind", published.COLUMNS, published.run_published(out, samples, draws), out)
            continue
        task = TASKS[name](out)
        lines = []
        with Progress(console=Console(stderr=True), transient=True) as progress:
            for title in progress.track(rows.split(","), description=name):
                row = ROWS[title]
                found = run(task, row, draws)
                old, new = [pair[0] for pair in found], [pair[1] for pair in found]
                mean = [(a + b) / 2 for a, b in found]
                stored, weights = row.costs(task)
                lines.append((title, spread(old), spread(new), spread(mean), f"{stored:,}", f"{weights:,}"))
        show(name, task.described, ("row", "old", "new", "mean", "stored B", "trained weights"), lines, out)


if __name__ == "__main__":
    main()
