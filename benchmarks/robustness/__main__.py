"""Accuracy under shift, each sample by itself: by the compiled C, and by the same in float.

    python benchmarks/robustness [--task resnet8|resnet8-folded|resnet20|motion|audio] [--samples 300] [--severity 5]
                                 [--split dev|table] [--rows none,fixed,...] [--set RATE=... --set CLEAN=...]
                                 [--layers all|SHARE|NAME,NAME] [--clean] [--fold 0|1|2|3] [--workers N]
                                 [--out build/robustness]

The rows are those of rows.py. `dev` is for tuning, `table` for what is reported. Results are kept in --out, a file for
each row, kind and severity, under a hash of driftc's and the benchmark's sources: a run that is cut goes on where it
was. They do not depend on --workers: each is one process's work. A CSV and a plot of accuracy against severity lie
beside them. Needs the extras keras, sim and benchmarks (and onnx for resnet20), and DRIFTC_DATA.
"""

from __future__ import annotations

from pathlib import Path

import click
import images
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rows import ROWS
from table import Found, plot, table, write_csv
from work import TASKS, Cell, Work, each_of, sources, tuned

from driftc.codegen.errors import DriftcError

Chosen = dict[Cell, NDArray[np.int64]]


@click.command()
@click.option("--task", "name", type=click.Choice(sorted(TASKS)), default="resnet8", show_default=True)
@click.option("--samples", default=300, show_default=True, help="Of the split, for each kind.")
@click.option("--severity", "severities", type=click.IntRange(1, 5), multiple=True, default=(5,), show_default=True)
@click.option("--split", type=click.Choice(["dev", "table"]), default="dev", show_default=True)
@click.option("--rows", default=",".join(ROWS), show_default=True)
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="A constant of codegen/adaptation/calibrated.py."
)
@click.option("--layers", default="all", show_default=True, help="Which are live, as --adapt-layers has it.")
@click.option("--clean", is_flag=True, help="Nothing is shifted: the clean sets alone.")
@click.option(
    "--fold",
    type=click.IntRange(0, 3),
    default=0,
    help="Images: which 1,000 of the lossless ones are not calibrated on.",
)
@click.option("--workers", type=click.IntRange(1, 1000), default=1, show_default=True, help="Processes.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/robustness"), show_default=True)
def main(
    name: str,
    samples: int,
    severities: tuple[int, ...],
    split: str,
    rows: str,
    settings: tuple[str, ...],
    layers: str,
    clean: bool,
    fold: int,
    workers: int,
    out: Path,
) -> None:
    if fold and TASKS[name][1] is not images.load:
        raise click.UsageError(f"--fold {fold}: is for tasks on images")
    try:
        tuned(settings)
    except ValueError as problem:
        raise click.UsageError(f"--set {problem}") from None
    other = [] if layers == "all" else [layers]
    other += [f"fold{fold}"] if fold else []
    folder = out / "_".join([name, *settings, *other, sources()])
    folder.mkdir(parents=True, exist_ok=True)
    work = Work(name, split, samples, fold, layers, settings, out.absolute(), folder.absolute())
    task = work.task()
    severities = () if clean else severities
    wanted = rows.split(",")
    kinds = [(kind, severity) for severity in severities for kind in task.kinds]
    cells = [Cell(row, *which) for row in wanted for which in [*((name, 0) for name in task.clean), *kinds]]
    with Progress(console=Console(stderr=True), transient=True) as bar:
        progress = bar.add_task("", total=None)
        try:
            for step in each_of(work, cells, workers):
                bar.update(progress, description=step.row, completed=step.done, total=step.total)
        except DriftcError as problem:
            raise click.ClickException(str(problem)) from None
    chosen: Chosen = {cell: np.load(work.kept(cell)) for cell in cells}
    labels = {cell: task.clean[cell.which if cell.severity == 0 else task.base[0]][1] for cell in cells}
    found: Found = {(cell.row, cell.which, cell.severity): np.asarray(chosen[cell] == labels[cell]) for cell in cells}
    stem = f"{split}_{samples}"
    write_csv(found, folder / f"{stem}.csv")
    console = Console(width=170)
    if clean:
        console.print(table(found, task, wanted, 0, f"{name}, {split}, nothing shifted"))
    else:
        plot(found, task, wanted, severities, folder / f"{stem}.png")
    for severity in severities:
        count = len(task.base[2])
        console.print(table(found, task, wanted, severity, f"{name}, {split}, {count} a kind, severity {severity}"))
    if {"calibrated", "float64"} <= set(wanted) and not clean:
        console.print(agreement(chosen, found))
    console.print(f"{folder}: CSV and plot")


def agreement(chosen: Chosen, found: Found) -> str:
    """What fixed point changes, over all that was shifted."""
    shifted = [cell for cell in chosen if cell.row == "calibrated" and cell.severity]
    same = np.mean([chosen[cell] == chosen[cell._replace(row="float64")] for cell in shifted])
    points = [
        100 * (values.mean() - found["float64", kind, severity].mean())
        for (row, kind, severity), values in found.items()
        if row == "calibrated" and severity
    ]
    count = sum(len(chosen[cell]) for cell in shifted)
    return (
        f"fixed point and float64 agree on {same:.2%} of {count:,}; accuracy {np.mean(points):+.2f} points, "
        f"{min(points):+.2f} to {max(points):+.2f} by kind"
    )


if __name__ == "__main__":
    main()
