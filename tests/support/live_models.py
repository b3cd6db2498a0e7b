"""Models whose normalisation is live, by every method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from models import keyword_model, residual_model
from numpy.typing import NDArray

from driftc.codegen.adaptation import fixed, iabn, lean
from driftc.codegen.adaptation.adapt import chosen
from driftc.codegen.adaptation.calibration import Source, measure
from driftc.codegen.adaptation.constants import Adaptation, Constants, Rank
from driftc.codegen.compiled import Compiled
from driftc.codegen.graph import Graph
from driftc.codegen.lower import lower
from driftc.codegen.options import Options

MODELS = {"residual": residual_model, "keyword": lambda: keyword_model(channels=8)}
Samples = list[tuple[NDArray[Any], ...]]


def samples_of(graph: Graph, count: int, seed: int = 3) -> Samples:
    random = np.random.default_rng(seed)
    (tensor,) = graph.inputs
    levels = random.normal(size=(count, *tensor.shape)) / tensor.scale + tensor.zero_point
    return [(np.clip(np.rint(sample), -128, 127).astype(np.int8),) for sample in levels]


def ranked(source: Source, rank: int = 4, up: float = 0.3, alpha: float = 0.3) -> Constants:
    """The fixed blend and a term across channels of random constants, as large as learnt ones, or larger."""
    channels = source.mean.size
    random = np.random.default_rng(channels)
    logs = np.log2(source.variances + source.eps)
    term = Rank(
        down=random.normal(0, (2 * channels) ** -0.5, (rank, 2 * channels)),
        start=random.normal(0, 0.5, rank),
        up=random.normal(0, up, (2 * channels, rank)),
        mean=source.means.mean(axis=0),
        deviation=np.maximum(source.means.std(axis=0), np.sqrt(source.eps)),
        log_mean=logs.mean(axis=0),
        log_deviation=np.maximum(logs.std(axis=0), 0.02),
    )
    return replace(fixed.constants(source, alpha=alpha), rank=term)


METHODS: dict[str, Callable[[Source], Constants]] = {
    "fixed": partial(fixed.constants, alpha=0.3),
    "whole": partial(fixed.constants, alpha=1.0),
    **{name: partial(lean.constants, **arguments) for name, arguments in lean.VARIANTS.items()},
    "lean-eager": partial(lean.constants, tau=0.1),
    "iabn": iabn.constants,
    "iabn-eager": partial(iabn.constants, k=0.1),
    "rank": ranked,
    "rank-eager": partial(ranked, rank=7, up=3.0, alpha=1.0),
}


def adapted(path: Path, constants: Callable[[Source], Constants], count: int = 16) -> Adaptation:
    graph = lower(path, Options()).model
    sources = measure(graph, chosen(graph, "all"), samples_of(graph, count))
    return Adaptation("test", graph.sha256, {name: constants(source) for name, source in sources.items()})


def adaptation(path: Path, alpha: float, count: int = 16) -> Adaptation:
    return adapted(path, partial(fixed.constants, alpha=alpha), count)


def compiled(path: Path, method: float | str, options: Options | None = None) -> Compiled:
    found = adapted(path, METHODS[method]) if isinstance(method, str) else adaptation(path, method)
    options = options or Options()
    return Compiled(path.read_bytes(), options, lower(path, options, adaptation=found))
