"""What a round of uploads gains, and what a server stands.

    python benchmarks/elastic rows [--kind contrast ...] [--uploads 256] [--out build/elastic]
    python benchmarks/elastic load [--devices 1000] [--rate 100] [--seconds 60]

rows: MLPerf Tiny's ResNet-8 in int8 under six corruptions at severity 5, its teacher a ResNet-20, one round of 256
uploads from a stream of 2,000 images; accuracy on 300 others, and on 300 clean ones. `none` is the network without
anything, `calibrated` with live layers, `random` and `criteria` those after one round of uploads chosen so (with the
checks: a refused round leaves `calibrated`), `released` CEMA's own setting (released.py). Results are kept in --out: a
run that is cut goes on where it was. Needs the extras keras, onnx, benchmarks and elastic, and DRIFTC_DATA.

load: simulated devices upload through a Mosquitto of the benchmark's own to a server of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "benchmarks" / "robustness"), str(ROOT / "examples")]

from bench import KINDS, ROWS, Bench  # noqa: E402
from load import load  # noqa: E402


@click.group()
def main() -> None:
    """What a round of uploads gains, and what a server stands."""


@main.command()
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), default=KINDS)
@click.option("--row", "wanted", multiple=True, type=click.Choice(ROWS), default=ROWS)
@click.option("--uploads", default=256, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/elastic"), show_default=True)
def rows(kinds: tuple[str, ...], wanted: tuple[str, ...], uploads: int, out: Path) -> None:
    """Accuracy before and after one round."""
    bench = Bench(out, uploads)
    found = {}
    for row in wanted:
        for kind in kinds:
            found[row, kind] = bench.row(row, kind)
            click.echo(f"{row} {kind}: {found[row, kind][kind]:.1f}, clean {found[row, kind]['clean']:.1f}", err=True)
    show(found, wanted, kinds)


def show(found: dict[tuple[str, str], dict[str, Any]], wanted: tuple[str, ...], kinds: tuple[str, ...]) -> None:
    table = Table("row", *kinds, "mean", "error reduction", "clean")
    for row in wanted:
        values = [found[row, kind][kind] for kind in kinds]
        refused = [not found[row, kind].get("round", {"accepted": True})["accepted"] for kind in kinds]
        texts = [f"{value:.1f}{'*' if no else ''}" for value, no in zip(values, refused, strict=True)]
        clean = np.mean([found[row, kind]["clean"] for kind in kinds])
        table.add_row(row, *texts, f"{np.mean(values):.1f}", _reduction(found, row, kinds), f"{clean:.1f}")
    console = Console(width=150)
    console.print(table)
    console.print("* no packet: what `calibrated` gives")


def _reduction(found: dict[tuple[str, str], dict[str, Any]], row: str, kinds: tuple[str, ...]) -> str:
    """Percent of the errors of `none`, the mean over the kinds, and its standard error over them."""
    if ("none", kinds[0]) not in found:
        return ""
    before: Callable[[str], float] = lambda kind: 100 - found["none", kind][kind]  # noqa: E731
    each = [100 * (before(kind) - (100 - found[row, kind][kind])) / before(kind) for kind in kinds]
    return f"{np.mean(each):.1f} ± {np.std(each) / np.sqrt(len(each)):.1f}"


main.command()(load)

if __name__ == "__main__":
    main()
