"""--learn-parts: streams of corrupted images through the folded int8 ResNet-8, whose C learns on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from kept import kept
from network import images
from numpy.typing import NDArray
from streams import SEVERITY, STREAMED, orders, paired, percent

import driftc
from driftc.codegen.compiled import Compiled

PARTS, RATES = (1, 2, 3), (0.0005, 0.002)
COLUMNS = ("order", "parts", "rate", "right", "gain", "learnt %", "returned", "NAME_adapt", "inference")


def run_parts(out: Path, count: int, draws: int) -> list[tuple[str, ...]]:
    """A line for each order, number of parts and rate; gains on the network as it is are paired, by sample."""
    path = images.folded(out)
    task = images.load(path, "table", count)
    x = np.concatenate([task.shifted(kind, SEVERITY) for kind in STREAMED])
    y = np.tile(task.base[2], len(STREAMED))
    streams: dict[str, list[NDArray[np.int64]]] = {}
    for name, order in orders(y, len(STREAMED), draws):
        if not name.startswith("shuffled"):
            streams.setdefault(name, []).append(order)
    lines = []
    for parts in PARTS:
        for rate in RATES:
            compiled = driftc.compile(
                path, learn="ecotta", learn_parts=parts, learn_rate=rate, planner="greedy", core="cortex-m4",
                measure=False,
            )  # fmt: skip
            for name, found in streams.items():
                lines.append((name, str(parts), f"{rate:g}", *_told(compiled, out, x, y, found)))
    return sorted(lines, key=lambda line: list(streams).index(line[0]))


def _told(
    compiled: Compiled, out: Path, x: NDArray[np.uint8], y: NDArray[np.int64], found: Sequence[NDArray[np.int64]]
) -> tuple[str, ...]:
    sources = [text for _, text in sorted(compiled.sources.items()) if isinstance(text, str)]
    gains, right, learnt, returned, costs = [], [], [], 0, (0, 0)
    for order in found:

        def make(path: Path, order: NDArray[np.int64] = order) -> None:
            given = path.with_name("stream.npz")
            np.savez(given, x=x[order], y=y[order])
            adapted = compiled.adapt(given, block=1, engine="host")
            each = [(one.adapted, one.plain, one.learnt, one.returned) for one in adapted.blocks]
            cost = (adapted.adapt_instructions or 0, adapted.inference_instructions or 0)
            np.savez(path, each=each, cost=cost)

        with np.load(kept(out / "parts" / "adapted.npz", (*sources, x[order], y[order]), make)) as file:
            adapted, plain, moved, back = file["each"].T
            costs = tuple(np.maximum(costs, file["cost"]).tolist())
        gains.append(adapted - plain)
        right.append(float(adapted.mean()))
        learnt.append(float(moved.mean()))
        returned += int(back.sum())
    return (percent(right), paired(gains), percent(learnt), str(returned), *(f"{cost:,}" for cost in costs))
