"""Accuracy under shift, each sample by itself: by the compiled C, and by the same in float.

    python benchmarks/robustness [--task resnet8|resnet8-folded|resnet20|motion|audio] [--samples 300] [--severity 5]
                                 [--split dev|table] [--rows none,fixed,...] [--set RATE=... --set CLEAN=...]
                                 [--layers all|SHARE|NAME,NAME] [--clean] [--fold 0|1|2|3]
                                 [--out build/robustness]

The rows are those of rows.py. `dev` is for tuning, `table` for what is reported. Results are kept in --out, a file for
each row, kind and severity, under a hash of driftc's and the benchmark's sources: a run that is cut goes on where it
was. A CSV and a plot of accuracy against severity lie beside them. Needs the extras keras, sim and benchmarks (and onnx
for resnet20), and DRIFTC_DATA.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import audio
import click
import images
import motion
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rows import ROWS, Classifier, classifier
from table import Found, plot, table, write_csv
from task import Right, Samples, Task

import driftc
from driftc.codegen.adaptation import calibrated

TASKS: dict[str, tuple[Callable[[Path], Path], Callable[..., Task]]] = {
    "resnet8": (images.resnet8, images.load),
    "resnet8-folded": (images.folded, images.load),
    "resnet20": (images.resnet20, images.load),
    "motion": (motion.model, motion.load),
    "audio": (audio.model, audio.load),
}


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


def tuned(settings: tuple[str, ...]) -> Iterator[str]:
    """Change constants of `calibrated` for a trial; their text, for the folder's name."""
    for setting in settings:
        name, _, value = setting.partition("=")
        if not hasattr(calibrated, name):
            raise click.UsageError(f"--set {setting}: calibrated has no {name}")
        setattr(calibrated, name, type(getattr(calibrated, name))(float(value)))
        yield setting


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
    out: Path,
) -> None:
    model, load = TASKS[name]
    if fold and load is not images.load:
        raise click.UsageError(f"--fold {fold}: is for tasks on images")
    other = [] if layers == "all" else [layers]
    other += [f"fold{fold}"] if fold else []
    folder = out / "_".join([name, *tuned(settings), *other, sources()])
    folder.mkdir(parents=True, exist_ok=True)
    loaded = load(model(out), split, samples, fold) if fold else load(model(out), split, samples)
    task = replace(loaded, layers=layers)
    severities = () if clean else severities
    wanted = rows.split(",")
    shifted = cache(task.shifted)
    found: Found = {}
    every: dict[str, Asked] = {}
    with Progress(console=Console(stderr=True), transient=True) as bar:
        total = len(wanted) * (len(task.clean) + len(task.kinds) * len(severities))
        progress = bar.add_task("", total=total)
        for row in wanted:
            bar.update(progress, description=row)
            asked = every[row] = Asked(row, task, folder)
            for set_name, (x, y) in task.clean.items():
                part = f"{split}_{len(y)}_{set_name}"
                found[row, set_name, 0] = asked.right(lambda x=x: x, y, part)
                bar.advance(progress)
            for severity in severities:
                for kind in task.kinds:
                    _, x, y = task.base
                    part = f"{split}_{len(y)}_{kind}_{severity}"
                    some = partial(shifted, kind, severity)
                    found[row, kind, severity] = asked.right(some, y, part)
                    bar.advance(progress)
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
    if {"calibrated", "float64"} <= set(every) and not clean:
        console.print(agreement(every["calibrated"], every["float64"], found))
    console.print(f"{folder}: CSV and plot")


def agreement(fixed: Asked, real: Asked, found: Found) -> str:
    """What fixed point changes, over all that was shifted."""
    names = [name for name in fixed.chosen if name.rsplit("_", 1)[-1].isdigit()]
    same = np.mean([fixed.chosen[name] == real.chosen[name] for name in names])
    points = [
        100 * (values.mean() - found["float64", kind, severity].mean())
        for (row, kind, severity), values in found.items()
        if row == "calibrated" and severity
    ]
    count = sum(len(fixed.chosen[name]) for name in names)
    return (
        f"fixed point and float64 agree on {same:.2%} of {count:,}; accuracy {np.mean(points):+.2f} points, "
        f"{min(points):+.2f} to {max(points):+.2f} by kind"
    )


class Asked:
    """A row's answers, from `folder` where it was asked before."""

    def __init__(self, row: str, task: Task, folder: Path) -> None:
        self.row, self.task, self.folder = row, task, folder
        self.kept = folder / "results" / row
        self.kept.mkdir(parents=True, exist_ok=True)
        self._made: Classifier | None = None
        self.chosen: dict[str, np.ndarray] = {}

    def right(self, samples: Callable[[], Samples], labels: np.ndarray, name: str) -> Right:
        """Which samples are classified rightly; what each is taken for is in `chosen`, by name."""
        kept = self.kept / f"{name}.npy"
        if not kept.is_file():
            self._made = self._made or classifier(self.row, self.task, self.folder)
            part = kept.with_suffix(".part.npy")
            np.save(part, self._made(samples()))
            part.replace(kept)  # whole or not at all
        self.chosen[name] = np.load(kept)
        return np.asarray(self.chosen[name] == labels)


if __name__ == "__main__":
    main()
