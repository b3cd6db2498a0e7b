"""Channel tiles alone, on networks that tiles of the feature map do not help: text classifiers and keyword spotters.

    python benchmarks/channels.py [--verify]

The FDT paper (arXiv 2303.17878) reports 76.2 % and 18.1 % less RAM on two such models without naming their shapes.
They are rebuilt with random weights in the usual public ones. `before` places whole tensors as the paper does, none
over another's bytes; `overlapping` is driftc untiled; `channels` allows channel tiles alone, and `by channels` is what
they save of it; `all ways` allows rows as well, and `in all` is what is saved of `before`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from driftc.codegen.compiled import Compiled
from driftc.codegen.lower import Lowered, lower
from driftc.codegen.options import Options
from driftc.codegen.plan import candidates
from driftc.codegen.plan.choose import Goal, choose
from driftc.codegen.plan.propose import arrange, untiled

if TYPE_CHECKING:
    from models import ModelBuilder, Tensor

OPTIONS = Options(planner="greedy")


def new_model() -> ModelBuilder:
    """The builder of the tests."""
    sys.path[:0] = [str(Path(__file__).resolve().parent.parent / "tests")]
    from models import ModelBuilder

    return ModelBuilder()


def text(tokens: int, width: int, hidden: int) -> ModelBuilder:
    """Embedding, mean over the tokens, two dense layers: TensorFlow's tutorial, and Model Maker's average_word_vec."""
    random = np.random.default_rng(0)
    builder = new_model()
    words = builder.input("tokens", (1, tokens), dtype=np.int32)
    table = builder.constant(random.integers(-127, 128, (1000, width)), dtype=np.int8, scale=0.02)
    x = builder.mean(builder.gather(table, words, axis=0), [1], out_scale=0.02)
    x = _dense(builder, x, hidden, random)
    builder.output(_dense(builder, x, 2, random))
    return builder


def tiny_conv() -> ModelBuilder:
    """TensorFlow's micro_speech: 8 filters of 10 x 8 with stride 2, flattened into a dense layer."""
    random = np.random.default_rng(0)
    builder = new_model()
    x = builder.input("spectrogram", (1, 49, 40, 1), scale=0.1)
    x = _conv(builder, x, 8, (10, 8), 2, random)
    x = builder.reshape(x, (1, int(np.prod(x.shape))))
    builder.output(_dense(builder, x, 4, random))
    return builder


def ds_cnn() -> ModelBuilder:
    """Hello Edge's DS-CNN S, MLPerf Tiny's keyword spotter."""
    random = np.random.default_rng(0)
    builder = new_model()
    x = _conv(builder, builder.input("mfcc", (1, 49, 10, 1), scale=0.1), 64, (10, 4), 2, random)
    for _ in range(4):
        filters = random.integers(-127, 128, (1, 3, 3, 64))
        x = builder.depthwise_conv_2d(x, filters, weight_scale=0.02, out_scale=0.1)
        x = _conv(builder, x, 64, (1, 1), 1, random)
    x = builder.average_pool_2d(x, (25, 5), padding="VALID")
    builder.output(_dense(builder, builder.reshape(x, (1, 64)), 12, random))
    return builder


def dense_keywords() -> ModelBuilder:
    """A dense keyword spotter over 25 frames of 10 coefficients, wide first: 144 and 256 hidden values."""
    random = np.random.default_rng(0)
    builder = new_model()
    x = builder.input("mfcc", (1, 250), scale=0.1)
    for hidden in (144, 256, 12):
        x = _dense(builder, x, hidden, random)
    builder.output(x)
    return builder


MODELS: dict[str, Callable[[], ModelBuilder]] = {
    "text, 250 tokens, embedding 16": lambda: text(250, 16, 16),
    "text, 256 tokens, embedding 16": lambda: text(256, 16, 16),
    "text, 250 tokens, embedding 32": lambda: text(250, 32, 32),
    "text, 256 tokens, embedding 64": lambda: text(256, 64, 64),
    "keywords, tiny_conv (micro_speech)": tiny_conv,
    "keywords, DS-CNN S": ds_cnn,
    "keywords, dense 144-256": dense_keywords,
}


def _dense(builder: ModelBuilder, x: Tensor, outputs: int, random: np.random.Generator) -> Tensor:
    weights = random.integers(-127, 128, (outputs, x.shape[-1]))
    return builder.fully_connected(x, weights, weight_scale=0.01, out_scale=0.1)


def _conv(
    builder: ModelBuilder, x: Tensor, filters: int, kernel: tuple[int, int], stride: int, random: np.random.Generator
) -> Tensor:
    weights = random.integers(-127, 128, (filters, *kernel, x.shape[3]))
    return builder.conv_2d(x, weights, weight_scale=0.01, stride=stride, out_scale=0.1)


def before(lowered: Lowered) -> int:
    """Whole tensors, none over another's bytes."""
    units = [replace(unit, step=replace(unit.step, distances={})) for unit in untiled(lowered.graph)]
    return arrange(lowered.graph, units, "optimal").arena_bytes


def tiled(lowered: Lowered, *ways: candidates.Way) -> Lowered:
    """With the least RAM that `ways` of computing in parts allow."""
    known, candidates.WAYS[:] = list(candidates.WAYS), list(ways)
    try:
        choice = choose(lowered.graph, "optimal", Goal(minimize="ram", overhead=1000.0))
    finally:
        candidates.WAYS[:] = known
    return replace(lowered, plan=choice.point.plan, choice=choice)


@click.command()
@click.option("--verify", is_flag=True, help="Compare every tensor on the host and the emulated Cortex-M4.")
def main(verify: bool) -> None:
    table = Table(box=None, pad_edge=False)
    columns = ("model", "before", "channels", "overlapping", "by channels", "all ways", "in all")
    for column in (*columns, *(["bit-exact"] * verify)):
        table.add_column(column, justify="left" if column in ("model", "bit-exact") else "right")
    for name, model in MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "net.tflite"
            path.write_bytes(model().build())
            lowered = lower(path, OPTIONS)
            whole = before(lowered)
            channels = tiled(lowered, candidates.by_channels)
            overlapping = tiled(lowered).plan.arena_bytes
            every = tiled(lowered, candidates.by_rows, candidates.by_channels)
            cells = [
                name,
                f"{whole:,}",
                f"{channels.plan.arena_bytes:,}",
                f"{overlapping:,}",
                f"{1 - channels.plan.arena_bytes / overlapping:.1%}",
                f"{every.plan.arena_bytes:,}",
                f"{1 - every.plan.arena_bytes / whole:.1%}",
            ]
            if verify:
                compiled = Compiled(path.read_bytes(), OPTIONS, channels)
                found = compiled.verify(engines=["numpy", "host", "unicorn"], random=2)
                cells.append(", ".join(found.engines) if found.bit_exact else str(found.first_difference))
            table.add_row(*cells)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
