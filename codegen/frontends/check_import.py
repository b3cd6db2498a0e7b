"""Every imported float Graph is run beside the framework that the model came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from driftc.codegen.errors import ModelError
from driftc.codegen.evaluate import evaluate
from driftc.codegen.graph import Graph
from driftc.codegen.operators.movement.gather import Gather
from driftc.codegen.tensor import Array, Tensor

SCALES = (0.05, 1.0, 20.0)  # of the random inputs: what a softmax hides at one, it shows at another
TOLERANCE = 1e-4  # of the largest output, or of 1 where all are smaller


class CannotRun(Exception):
    """The framework does not run the model, for this reason."""


def check_import(graph: Graph, framework: str, run: Callable[[Sequence[Array]], Sequence[Array]]) -> Graph:
    """The Graph with a note of how near it is. `run` is the framework's own inference of one sample, NHWC.

    Raises ModelError where they differ.
    """
    random = np.random.default_rng(0)
    worst, count = 0.0, 0
    beyond: ModelError | None = None
    for scale in SCALES:
        sample = [_values(graph, tensor, random, scale) for tensor in graph.inputs]
        try:
            sample, found = _evaluated(graph, sample)
        except ModelError as problem:
            beyond = problem
            continue
        try:
            wanted = run(sample)
        except CannotRun as problem:
            return replace(graph, notes=(*graph.notes, f"imported: not compared with {framework}: {problem}"))
        count += 1
        for tensor, a, b in zip(graph.outputs, found, wanted, strict=True):
            a, b = (np.asarray(x, np.float32) if x.dtype == np.bool_ else x for x in (a, b))
            if a.size != b.size:
                raise ModelError(f"{graph.source}: '{tensor.label}' is {list(a.shape)} here, {list(b.shape)} there")
            largest = max(1.0, float(np.abs(b).max()))
            worst = max(worst, float(np.abs(a.reshape(-1) - b.reshape(-1)).max()) / largest)
    if count == 0 and beyond is not None:
        raise beyond
    if not worst <= TOLERANCE:
        raise ModelError(
            f"{graph.source}: the imported model departs from {framework} by {worst:.2g} of the largest output; "
            "please report this model"
        )
    note = f"imported: equals {framework} within {worst:.1g} on {count} random inputs"
    return replace(graph, notes=(*graph.notes, note))


def _evaluated(graph: Graph, sample: list[Array]) -> tuple[list[Array], list[Array]]:
    """What the Graph gives, for magnitudes where it has nothing for values below 0, as a logarithm has not."""
    try:
        return sample, evaluate(graph, sample)
    except ModelError:
        above = [np.abs(x) for x in sample]
        return above, evaluate(graph, above)


def _values(graph: Graph, tensor: Tensor, random: np.random.Generator, scale: float) -> Array:
    """Real values up to `scale`, or indices of the tables that the input looks into."""
    if tensor.dtype != np.int32:
        return random.uniform(-1, 1, tensor.shape).astype(np.float32) * np.float32(scale)
    tables = [op.table for op in graph.operators if isinstance(op, Gather) and op.indices.name == tensor.name]
    return random.integers(0, min((table.shape[0] for table in tables), default=1), tensor.shape, np.int32)
