"""Small models that can be updated, and updates of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from live_models import compiled
from models import keyword_model, residual_model

from driftc.codegen.elastic.coding import Codes, Folded
from driftc.codegen.elastic.parameters import Parameters, parameters
from driftc.codegen.graph import Graph
from driftc.codegen.lower import lower
from driftc.codegen.options import Options

KEY = bytes(range(32))
KINDS = ("residual", "keyword", "live", "ranked")


def graph_of(kind: str, folder: Path) -> Graph:
    """int8, behind the passes; "live" and "ranked" have layers that are normalised live."""
    path = folder / f"{kind}.tflite"
    path.write_bytes(keyword_model(channels=8) if kind == "keyword" else residual_model())
    if kind in ("live", "ranked"):
        return compiled(path, 0.3 if kind == "live" else "rank").lowered.graph
    return lower(path, Options()).graph


def random_codes(known: Parameters, seed: int, wide: float = 0.3) -> tuple[Codes, ...]:
    """Of gains around 1 and offsets of some steps, within bounds."""
    random = np.random.default_rng(seed)
    found = []
    for layer in known.layers:
        gain = np.exp2(random.normal(0, wide, layer.channels))
        away = random.normal(0, 8 * wide, (2, layer.channels)) * layer.scale
        if isinstance(layer, Folded):
            bias = layer.raw * layer.multiplier * np.exp2(-31.0 - layer.shift) * layer.scale
            found.append(layer.codes(gain, bias + away[0]))
        else:
            found.append(layer.codes(gain, away[0], random.normal(0, 4, layer.channels) * layer.unit))
    return tuple(found)


def known_of(kind: str, folder: Path) -> tuple[Graph, Parameters]:
    graph = graph_of(kind, folder)
    return graph, parameters(graph)
