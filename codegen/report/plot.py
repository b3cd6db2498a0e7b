"""Accuracy along what was learnt, drawn by matplotlib (extra `plot`)."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftc.codegen.errors import UsageError
from driftc.codegen.files import write_file

if TYPE_CHECKING:
    from driftc.simulator.adapting import Adapted
    from driftc.simulator.teach import Taught

KINDS = (".svg", ".png", ".pdf")


def check_plot(path: Path) -> None:
    """That it can be drawn: before what takes time. Raises UsageError, ToolError."""
    if path.suffix.lower() not in KINDS:
        raise UsageError(f"--plot {path}: the name must end in {', '.join(KINDS)}")
    if not path.parent.is_dir():
        raise UsageError(f"--plot {path}: there is no folder {path.parent}")
    from driftc.codegen.frontends.extras import load_extra

    load_extra("matplotlib", "plot", "--plot")


def plot_adapted(found: Adapted, path: Path) -> None:
    """A stream without labels: each block with learning and without."""
    starts = [0]
    for block in found.blocks:
        starts.append(starts[-1] + block.samples)
    middles = [(a + b) / 2 for a, b in pairwise(starts)]
    lines = {
        "adapting": (middles, [block.adapted for block in found.blocks]),
        "without": (middles, [block.plain for block in found.blocks]),
    }
    _draw(lines, "samples of the stream", path)


def plot_taught(found: Taught, path: Path) -> None:
    """Labelled samples: old and new classes, and their mean, after each time of learning."""
    at = [0, *(round.added for round in found.rounds)]
    scores = [found.before, *(round.scores for round in found.rounds)]
    lines = {}
    for name in ("old", "new", "mean"):
        values = [getattr(score, name) for score in scores]
        if None not in values:
            lines[name] = (at, values)
    _draw(lines, "samples learnt", path)


def _draw(lines: dict[str, tuple[Any, Any]], along: str, path: Path) -> None:
    from driftc.codegen.frontends.extras import load_extra

    figures = load_extra("matplotlib.figure", "plot", "--plot")
    figure = figures.Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for name, (x, shares) in lines.items():
        axes.plot(x, [100 * share for share in shares], marker=".", label=name)
    axes.set(xlabel=along, ylabel="right, %")
    axes.grid(alpha=0.3)
    axes.legend()
    drawn = io.BytesIO()
    figure.savefig(drawn, format=path.suffix[1:].lower(), dpi=120)
    write_file(path, drawn.getvalue())
