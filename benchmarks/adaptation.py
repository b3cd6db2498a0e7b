"""What live layers cost: instructions, flash and arena on the emulated Cortex-M4, beside the same model unadapted.

    python benchmarks/adaptation.py [--model ic|kws|vww] [--method fixed] [--rank 4] [--layers auto --budget 12]
                                    [--core cortex-m4] [-O 2|3|s]

The models are in the shared data (DRIFTC_DATA). Constants are those of `--method` on seeded random samples: what a live
layer costs hardly depends on them. `--rank` needs `--method calibrated`. The counts are repeatable.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from driftc.codegen.api import compile
from driftc.codegen.compiled import Compiled
from driftc.codegen.lower import lower
from driftc.codegen.operators.adapt.adapt_affine import AdaptAffine
from driftc.codegen.operators.adapt.live import Live
from driftc.codegen.options import Options

HERE = Path(__file__).resolve().parent
MODELS = {
    "ic": "mlperf_tiny/models/ic/pretrainedResnet_quant.tflite",
    "kws": "mlperf_tiny/models/kws/kws_ref_model_int8.tflite",
    "vww": "mlperf_tiny/models/vww/vww_96_int8.tflite",
}
PER_ELEMENT, PER_CHANNEL, PER_LAYER = 20, 150, 1500  # instructions that a live layer may add
SAMPLES = 16


def random_samples(path: Path, folder: Path) -> Path:
    """Seeded int8 samples of the model's input."""
    (tensor,) = lower(path, Options()).graph.inputs
    values = np.random.default_rng(0).integers(-128, 128, (SAMPLES, *tensor.shape[1:])).astype(np.int8)
    np.savez(folder / "samples.npz", x=values)
    return folder / "samples.npz"


def counts(made: Compiled) -> dict[str, int]:
    return {layer["name"]: layer["instructions"] for layer in made.report["layers"]}


def by_layer(name: str, plain: Compiled, live: Compiled) -> Table:
    table = Table(box=None, pad_edge=False, title=name, title_justify="left")
    columns = ("layer", "map", "channels", "plain", "live", "statistics", "affine", "/element", "/channel", "of limit")
    for column in columns:
        table.add_column(column, justify="left" if column == "layer" else "right")
    before, after = counts(plain), counts(live)
    operators = live.lowered.graph.operators
    for position, producer in enumerate(operators):
        if not isinstance(producer, Live):
            continue
        end = next(n for n in range(position, len(operators)) if isinstance(operators[n], AdaptAffine))
        affine = operators[end]
        found = sum(after[operator.name] for operator in operators[position + 1 : end])
        height, width, channels = producer.outputs[0].hwc
        elements = height * width * channels
        swept = after[producer.name] - before[producer.name] + after[affine.name]
        limit = PER_ELEMENT * elements + PER_CHANNEL * channels + PER_LAYER
        table.add_row(
            producer.name,
            f"{height}x{width}",
            f"{channels}",
            f"{before[producer.name]:,}",
            f"{after[producer.name]:,}",
            f"{found:,}",
            f"{after[affine.name]:,}",
            f"{swept / elements:.1f}",
            f"{found / channels:.0f}",
            f"{(swept + found) / limit:.0%}",
        )
    return table


def summary(plain: Compiled, live: Compiled) -> str:
    a, b = plain.report, live.report
    before, after = sum(counts(plain).values()), sum(counts(live).values())

    def grown(key: str) -> str:
        return f"{b['flash'][key] - a['flash'][key]:+,} B {key}"

    arena = b["arena_bytes"] - a["arena_bytes"]
    return (
        f"{before:,} -> {after:,} instructions ({after / before - 1:+.1%}); flash {grown('total')} "
        f"({grown('code')}, {grown('constants')}); arena {arena:+,} B"
    )


@click.command()
@click.option("--model", "names", type=click.Choice(list(MODELS)), multiple=True, help="Default: all.")
@click.option("--method", default="fixed", show_default=True)
@click.option("--layers", default="all", show_default=True)
@click.option("--budget", type=float, help="With --layers auto: percent.")
@click.option("--rank", type=int, help="With --method calibrated: of the term across channels.")
@click.option("--core", default="cortex-m4", show_default=True)
@click.option("-O", "optimize", type=click.Choice(["2", "3", "s"]), default="2", show_default=True)
def main(
    names: tuple[str, ...], method: str, layers: str, budget: float | None, rank: int | None, core: str, optimize: str
) -> None:
    data = Path(os.environ.get("DRIFTC_DATA", HERE.parent.parent / "shared" / "data"))
    common: dict[str, Any] = {"core": core, "optimize": optimize, "measure": True}
    console = Console(width=130)
    for name in names or MODELS:
        path = data / MODELS[name]
        plain = compile(path, **common)
        with tempfile.TemporaryDirectory() as folder:
            samples = random_samples(path, Path(folder))
            how: dict[str, Any] = {"adapt": method, "adapt_layers": layers, "adapt_budget": budget, "adapt_rank": rank}
            live = compile(path, calibrate=samples, **how, **common)
        console.print(by_layer(f"{name}, {method}, {core}, -O{optimize}", plain, live))
        console.print(summary(plain, live) + "\n", soft_wrap=True)


if __name__ == "__main__":
    main()
