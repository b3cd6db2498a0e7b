"""Learning on the device: what it gains, loses and costs, over several draws of the samples.

    python benchmarks/learning [--task words|speakers|persons|objects|split|resnet8|resnet20|parts|published]
                               [--draws 4] [--rows before,mean,...] [--samples 500] [--out build/learning]

`words`: a keyword spotter of eight spoken digits learns two more, 20 samples each; `speakers`: one of ten digits meets
a speaker that it was not trained on, 3 samples a digit; `persons`: a network of activities meets a person, 5 windows
of each; `objects`: a ResNet-8 of five classes of CIFAR-10 learns the other five, 20 images each. Rows are those of
rows.py: `classifier` and `mean` are --learn as compiled, `unchecked` and `mean-unchecked` the same with --learn-guard
off, `tinyol` without references; `last` and `last-unchecked` train the last convolution too, rows of tails.py;
`narrow`, `narrow-unchecked`, `last-narrow` and `last-narrow-unchecked` are with --learn-masters 16; each is
what the integers of the device compute. In float64 are `unchecked-float`, `last-unchecked-float`, `mean-float` and
`joint`, the last layer trained on everything at once. `split`: a ResNet-8 in float learns tasks of some classes of
CIFAR-10 one after another, as LightCL was published and by fine-tuning (forgetting.py). `resnet8`, `resnet20`: with
live layers they meet --samples images of each of six corruptions, one by one and without labels; rows are those of
streams.py. `parts`: --learn-parts on such streams, by the C on this machine (parts.py). `published`: ResNet-8 in float
meets the same by TENT and by EcoTTA as it was published (published.py).

What takes long is made once and kept in --out by the content of all that it depends on; there are a CSV of each table
and, but for `published`, `split` and `parts`, a plot. Needs the extras keras, sim and benchmarks, `resnet20` onnx,
`published`, `split` and `last-unchecked-float` torch; DRIFTC_DATA.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from objects import new_objects
from persons import new_persons
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rows import ROWS as DENSE
from rows import Costs, Decisions, Row, scored
from streams import COLUMNS, run_streams
from tails import ROWS as TAILS
from tasks import Draw, Task, new_speakers, new_words

ROWS = DENSE | TAILS
OTHERS = ("split", "resnet8", "resnet20", "parts", "published")
TASKS: dict[str, Callable[[Path], Task]] = {
    "words": new_words,
    "speakers": new_speakers,
    "persons": new_persons,
    "objects": new_objects,
}
TITLES = ("row", "old", "new", "mean", "samples B", "weights B", "flash B", "step", "beside float64")
TWINS = ("unchecked", "last-unchecked")  # rows that there are in float64 too


def spread(values: Sequence[Any], signed: bool = False) -> str:
    """Mean and standard error, in percent."""
    found = 100 * np.asarray(values)
    error = found.std(ddof=1) / np.sqrt(len(found)) if len(found) > 1 else float("nan")
    return f"{found.mean():{'+' if signed else ''}.1f} +- {error:.1f}"


def run(task: Task, row: Row, draws: int) -> list[Decisions]:
    """For each draw (and person or speaker)."""
    return [row.decisions(task, draw) for draw in task.draws(draws)]


def compared(found: Sequence[Decisions], floats: Sequence[Decisions], draws: Sequence[Draw]) -> str:
    """Integers beside float64, draw by draw: points of the mean of old and new, and the share decided alike."""
    away = [np.mean(scored(a, d)) - np.mean(scored(b, d)) for a, b, d in zip(found, floats, draws, strict=True)]
    alike = [np.mean(np.concatenate(a) == np.concatenate(b)) for a, b in zip(found, floats, strict=True)]
    return f"{spread(away, signed=True)}, {spread(alike)} alike"


def show(name: str, described: str, columns: Sequence[str], lines: Sequence[Sequence[str]], out: Path) -> None:
    """Print the table, and keep it as CSV."""
    table = Table(title=f"{name}: {described}")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for line in lines:
        table.add_row(*line)
    Console(file=sys.stdout, width=140).print(table)
    with (out / f"{name}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *lines])


def cells(costs: Costs | None) -> tuple[str, ...]:
    if costs is None:
        return ("", "", "", "")
    step = "" if costs.step is None else f"{costs.step:,}"
    return (f"{costs.samples:,}", f"{costs.weights:,}", f"{costs.flash:,}", step)


def plot(name: str, described: str, scores: dict[str, tuple[list[float], list[float]]], out: Path) -> None:
    """Old and new of each row, with standard errors."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 0.45 * len(scores) + 1.5))
    places = np.arange(len(scores))
    for number, label in enumerate(("old", "new")):
        values = 100 * np.array([pair[number] for pair in scores.values()])
        error = values.std(axis=1, ddof=1) / values.shape[1] ** 0.5 if values.shape[1] > 1 else None
        axes.barh(places + 0.4 * number, values.mean(axis=1), 0.38, xerr=error, label=label)
    axes.set_yticks(places + 0.2, list(scores))
    axes.invert_yaxis()
    axes.set(xlabel="% right", xlim=(0, 100))
    axes.set_title(described, fontsize=9)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    figure.savefig(out / f"{name}.png", dpi=120)
    pyplot.close(figure)


def other(name: str, out: Path, samples: int, draws: int) -> tuple[str, Sequence[str], Sequence[Sequence[str]]]:
    """What is no task of TASKS: its description, columns and lines."""
    described = f"{samples} a kind"
    if name == "split":
        import forgetting

        described = "tasks one after another, decided among the classes of each"
        return described, forgetting.COLUMNS, forgetting.run_split(out, draws, spread)
    if name == "parts":
        import parts

        return described, parts.COLUMNS, parts.run_parts(out, samples, draws)
    if name == "published":
        import published

        return described, published.COLUMNS, published.run_published(out, samples, draws)
    return described, COLUMNS, run_streams(name, out, samples, draws)


@click.command()
@click.option(
    "--task",
    "names",
    type=click.Choice([*sorted(TASKS), *OTHERS]),
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
        if name not in TASKS:
            show(name, *other(name, out, samples, draws), out)
            continue
        task = TASKS[name](out)
        lines = []
        decided: dict[str, list[Decisions]] = {}
        every = list(task.draws(draws))
        scores: dict[str, tuple[list[float], list[float]]] = {}
        with Progress(console=Console(stderr=True), transient=True) as progress:
            wanted = [title for title in rows.split(",") if ROWS[title].fits(task)]
            for title in progress.track(wanted, description=name):
                row = ROWS[title]
                decided[title] = run(task, row, draws)
                found = [scored(each, draw) for each, draw in zip(decided[title], every, strict=True)]
                old, new = [pair[0] for pair in found], [pair[1] for pair in found]
                mean = [(a + b) / 2 for a, b in found]
                scores[title] = (old, new)
                lines.append((title, spread(old), spread(new), spread(mean), *cells(row.costs(task))))
        for number, (title, *told) in enumerate(lines):
            twin = decided.get(f"{title}-float") if title in TWINS else None
            lines[number] = (title, *told, compared(decided[title], twin, every) if twin else "")
        show(name, task.described, TITLES, lines, out)
        plot(name, task.described, scores, out)


if __name__ == "__main__":
    main()
