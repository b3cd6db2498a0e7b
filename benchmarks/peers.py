"""driftc beside TFLite Micro on the five reference models: instructions, flash and RAM on emulated cores.

    python benchmarks/peers.py [--core cortex-m4|cortex-m7|cortex-m33|cortex-m55] [--cc gcc|zig] [-O 2|3|s]

The models are in the shared data (DRIFTC_DATA); what TFLite Micro needs is in peers.toml, for Cortex-M4 and M55.
`scratch` is the most that a kernel has for itself, a part of the arena; TFLite Micro's is in its arena too. driftc's
code is that of the generated C, TFLite Micro's that of its image. `beyond` is driftc's flash beyond what it needs:
an int8 a weight, an int32 bias a channel and five bytes for each scale of weights, of the channels that it computes.
/MAC is of the model as it is: driftc leaves out channels that are the same for every input. The counts are repeatable.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from driftc.codegen.api import compile
from driftc.codegen.compiled import Compiled
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.plan.call import static_calls

HERE = Path(__file__).resolve().parent
CORES = ("cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")
COLUMNS = ("model", "", "instructions", "/MAC", "code", "constants", "flash", "beyond", "arena", "scratch", "stack")
Figures = dict[str, int]


def ours(compiled: Compiled) -> Figures:
    report = compiled.report
    scratch = (call.scratch.bytes for call in static_calls(compiled.lowered.plan.program) if call.scratch)
    return {
        "instructions": report["instructions"],
        "code": report["flash"]["code"],
        "constants": report["flash"]["constants"],
        "flash": report["flash"]["total"],
        "beyond": report["flash"]["total"] - needed(compiled),
        "arena": report["arena_bytes"],
        "scratch": max(scratch, default=0),
        "stack": report["stack_bytes"],
    }


def needed(compiled: Compiled) -> int:
    """Bytes of constants without which the layers cannot be computed."""
    weighted = [op for op in compiled.lowered.graph.operators if isinstance(op, Weighted)]
    return sum(op.weights.size + 4 * op.channels + 5 * op.quantization.scale.size for op in weighted)


def theirs(peer: Figures, model: int) -> Figures:
    return {**peer, "constants": model, "flash": peer["code"] + model}


def row(who: str, figures: Figures, macs: int) -> list[str]:
    numbers = {key: f"{value:,}" for key, value in figures.items()}
    numbers["/MAC"] = f"{figures['instructions'] / macs:.3f}"
    return [who, *(numbers.get(column, "") for column in COLUMNS[2:])]


def compared(found: Figures, peer: Figures) -> list[str]:
    return [f"{found[column] / peer[column]:.2f}" if column in peer else "" for column in COLUMNS[2:]]


def table(core: str, peers: dict[str, Any], data: Path, cc: str | None, optimize: str) -> Table:
    made = Table(box=None, pad_edge=False, title=f"{core}, -O{optimize}", title_justify="left")
    for column in COLUMNS:
        made.add_column(column, justify="left" if column in COLUMNS[:2] else "right")
    for name, peer in peers.items():
        compiled = compile(data / peer["path"], core=core, cc=cc, optimize=optimize, measure=True)
        found, macs = ours(compiled), peer["macs"]
        if core not in peer:
            made.add_row(name, *row("driftc", found, macs))
            continue
        cmsis, ref = (theirs(peer[core][kernels], peer["model"]) for kernels in ("cmsis", "ref"))
        made.add_row(name, *row("driftc", found, macs))
        made.add_row("", *row("CMSIS-NN", cmsis, macs))
        made.add_row("", *row("TFLM's own", ref, macs))
        made.add_row("", "x CMSIS-NN", *compared(found, cmsis), end_section=True)
    return made


@click.command()
@click.option("--core", "cores", type=click.Choice(CORES), multiple=True, default=CORES, show_default=True)
@click.option("--cc", help="Compiler for the core (default: the first that is present).")
@click.option("-O", "optimize", type=click.Choice(["2", "3", "s"]), default="2", show_default=True)
def main(cores: tuple[str, ...], cc: str | None, optimize: str) -> None:
    data = Path(os.environ.get("DRIFTC_DATA", HERE.parent.parent / "shared" / "data"))
    peers = tomllib.loads((HERE / "peers.toml").read_text())
    for core in cores:
        Console(width=140).print(table(core, peers, data, cc, optimize))
    click.echo("start-up: driftc 0 instructions; TFLite Micro 83,518 (ad) to 3,521,077 (vww)")


if __name__ == "__main__":
    main()
