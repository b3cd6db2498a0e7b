"""Every kernel over many shapes: instructions a MAC and an output on emulated cores, the worst cases first.

    python benchmarks/kernels [--family conv|dense|...] [--core cortex-m4|cortex-m55] [--quick] [--worst 20]
                              [--cc gcc|zig] [-O 2|3|s] [--csv sweep.csv]

On a Cortex-M4 the portable kernels and those for DSP, on a Cortex-M55 those for MVE too; of the core's own, the one
chosen is named. The worst are those that gain least over portable. RAM is plenty: no kernel is left out for scratch.
On the Cortex-M55 a layer's count may be off by 65 instructions. On the Cortex-M4 it is exact, and cycles say what is
slower (docs/simulators.md).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import click
from count import BUILDS, Count, batches, count
from rich.console import Console
from rich.progress import track
from rich.table import Table
from shapes import FAMILIES, Shape

QUICK = 3  # layers of a family


def some(shapes: Sequence[Shape]) -> Sequence[Shape]:
    """QUICK of them, evenly."""
    step = len(shapes) // QUICK
    return shapes[step // 2 :: step][:QUICK]


def table_of(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    for column in left:
        table.add_column(column)
    for column in right:
        table.add_column(column, justify="right")
    return table


def a_share(count: int, of: int) -> str:
    return f"{count / of:.2f}" if of else ""


def worst(core: str, found: Sequence[Count], shown: int) -> Table:
    kinds = tuple(BUILDS[core])
    columns = [f"{kind} {per}" for per in ("/MAC", "/output") for kind in kinds]
    rows = sorted(found, key=lambda one: -one.ratio)[:shown]
    table = table_of(f"{core}: {len(rows)} worst of {len(found)}", ("layer", "kernel"), (*columns, "x portable"))
    for one in rows:
        shares = [a_share(one.instructions[kind], of) for of in (one.macs, one.outputs) for kind in kinds]
        table.add_row(str(one.shape), one.kernel, *shares, f"{one.ratio:.2f}")
    return table


def families(core: str, found: Sequence[Count]) -> Table:
    """Each family as a whole: the middle layer, and the sum of all."""
    columns = ("layers", "/MAC", "/output", "x portable", "at best", "at worst", "slower")
    table = table_of(f"{core}: medians of each family", ("family",), columns)
    for family in dict.fromkeys(one.shape.family for one in found):
        every = [one for one in found if one.shape.family == family]
        ratios = sorted(one.ratio for one in every)
        table.add_row(
            family,
            f"{len(every)}",
            f"{median(one.own / one.macs for one in every):.2f}" if all(one.macs for one in every) else "",
            f"{median(one.own / one.outputs for one in every):.1f}",
            f"{median(ratios):.2f}",
            f"{ratios[0]:.2f}",
            f"{ratios[-1]:.2f}",
            f"{sum(one.slower for one in every)}",
        )
    return table


def write_csv(path: Path, found: Sequence[Count]) -> None:
    kinds = list(dict.fromkeys(kind for builds in BUILDS.values() for kind in builds))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        times = [f"{kind} cycles" for kind in kinds]
        writer.writerow(["core", "family", "layer", "kernel", "macs", "outputs", *kinds, *times])
        for one in found:
            counts = [time.get(kind, "") for time in (one.instructions, one.cycles) for kind in kinds]
            writer.writerow([one.core, one.shape.family, one.shape, one.kernel, one.macs, one.outputs, *counts])


@click.command()
@click.option("--family", "wanted", type=click.Choice(list(FAMILIES)), multiple=True, default=tuple(FAMILIES))
@click.option("--core", "cores", type=click.Choice(list(BUILDS)), multiple=True, default=tuple(BUILDS))
@click.option("--quick", is_flag=True, help=f"{QUICK} layers of each family.")
@click.option("--worst", "shown", default=20, show_default=True, help="How many layers are shown.")
@click.option("--cc", help="Compiler for the cores (default: the first that is present).")
@click.option("-O", "optimize", type=click.Choice(["2", "3", "s"]), default="2", show_default=True)
@click.option("--csv", "file", type=click.Path(path_type=Path), help="Where all layers are written.")
def main(
    wanted: tuple[str, ...],
    cores: tuple[str, ...],
    quick: bool,
    shown: int,
    cc: str | None,
    optimize: str,
    file: Path | None,
) -> None:
    console, every = Console(width=150), []
    shapes = [shape for family in wanted for shape in (some(FAMILIES[family]) if quick else FAMILIES[family])]
    for core in cores:
        found: list[Count] = []
        models = list(batches(shapes))
        for batch in track(models, core, console=Console(stderr=True), transient=True):
            found += count(core, batch, cc, optimize)
        console.print(worst(core, found, shown), families(core, found), sep="\n\n")
        every += found
    if file is not None:
        write_csv(file, every)


if __name__ == "__main__":
    main()
