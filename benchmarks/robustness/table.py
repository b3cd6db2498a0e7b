"""From which samples each row classifies rightly to a table, a CSV and a plot."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from rich.table import Table
from task import Right, Task

Found = dict[tuple[str, str, int], Right]  # row, set or kind, severity (0: clean) -> which samples are right


def reduction(source: Right, adapted: Right) -> tuple[float, float]:
    """Relative error reduction over [kinds, samples] and its standard error, samples being what is drawn."""
    before, after = 1.0 - source.mean(axis=0), 1.0 - adapted.mean(axis=0)
    ratio = after.mean() / before.mean()
    spread = np.std(after - ratio * before, ddof=1) / np.sqrt(len(before)) / before.mean()
    return float(1 - ratio), float(spread)


def table(found: Found, task: Task, rows: list[str], severity: int, title: str) -> Table:
    """Of severity 0 the clean sets alone."""
    made = Table(box=None, pad_edge=False, title=title, title_justify="left")
    unseen = [kind for kind in task.kinds if kind not in task.augmented]
    shifted = ("accuracy", "error reduction", f"the {len(unseen)} kinds not augmented") if severity else ()
    for column in ("row", *shifted, *task.clean):
        made.add_column(column, justify="left" if column == "row" else "right")

    def stacked(row: str, kinds: list[str]) -> Right:
        return np.stack([found[row, kind, severity] for kind in kinds])

    for row in rows:
        every = list(task.kinds)
        cells = [row, f"{stacked(row, every).mean():.1%}"] if severity else [row]
        compared = "none" in rows and row != "none"
        for kinds in (every, unseen) if severity else ():
            gain, error = reduction(stacked("none", kinds), stacked(row, kinds)) if compared else (0.0, 0.0)
            cells.append(f"{gain:.1%} ± {error:.1%}" if compared else "-")
        for name in task.clean:
            values = found[row, name, 0]
            if not compared:
                cells.append(f"{values.mean():.1%}")
                continue
            change = values.astype(float) - found["none", name, 0]
            error = float(np.std(change, ddof=1) / np.sqrt(len(change)))
            cells.append(f"{100 * change.mean():+.1f} ± {100 * error:.1f} points")
        made.add_row(*cells)
    return made


def write_csv(found: Found, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("row", "set", "severity", "samples", "accuracy"))
        writer.writerows((*key, len(values), f"{values.mean():.4f}") for key, values in found.items())


def plot(found: Found, task: Task, rows: list[str], severities: tuple[int, ...], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for row in rows:
        means = [np.mean([found[row, kind, severity].mean() for kind in task.kinds]) for severity in severities]
        axes.plot((0, *severities), (found[row, task.base[0], 0].mean(), *means), marker="o", label=row)
    axes.set(xlabel="severity (0: clean)", ylabel="accuracy, mean over the kinds")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
