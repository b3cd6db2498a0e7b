"""driftc beside TFLite Micro on the five reference models: instructions, flash and RAM on the emulated Cortex-M4.

    python benchmarks/peers.py [--cc gcc|zig] [-O 2|3|s]

The models are in the shared data (DRIFTC_DATA); what TFLite Micro needs is in peers.toml. The counts are repeatable.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from driftc.codegen.api import compile

HERE = Path(__file__).resolve().parent


@click.command()
@click.option("--cc", help="Compiler for the core (default: the first that is present).")
@click.option("-O", "optimize", type=click.Choice(["2", "3", "s"]), default="2", show_default=True)
@click.option("--core", default="cortex-m4", show_default=True)
def main(cc: str | None, optimize: str, core: str) -> None:
    data = Path(os.environ.get("DRIFTC_DATA", HERE.parent.parent / "shared" / "data"))
    table = Table(box=None, pad_edge=False, title=f"{core}, -O{optimize}", title_justify="left")
    for column in ("model", "instructions", "/MAC", "x ref", "x CMSIS-NN", "code", "flash", "x CMSIS-NN", "arena", "x"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for name, peer in tomllib.loads((HERE / "peers.toml").read_text()).items():
        made = compile(data / peer["path"], core=core, cc=cc, optimize=optimize, measure=True)
        report = made.report
        count = report["instructions"]
        ref, cmsis = peer["ref"], peer["cmsis"]
        flash = report["flash"]["total"]
        table.add_row(
            name,
            f"{count:,}",
            f"{count / report['macs']:.2f}",
            f"{count / ref['instructions']:.2f}",
            f"{count / cmsis['instructions']:.2f}",
            f"{report['flash']['code']:,}",
            f"{flash:,}",
            f"{flash / (cmsis['code'] + cmsis['model']):.2f}",
            f"{report['arena_bytes']:,}",
            f"{report['arena_bytes'] / cmsis['arena']:.2f}",
        )
    Console(width=130).print(table)
    click.echo("start-up: driftc 0 instructions; TFLite Micro 83,518 (ad) to 3,521,077 (vww)")


if __name__ == "__main__":
    main()
