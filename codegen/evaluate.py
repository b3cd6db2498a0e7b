"""A float Graph, run: operator by operator, on many samples at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from driftc.codegen.errors import ModelError
from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Operator
from driftc.codegen.tensor import Array

BATCH = 32  # samples at a time: the windows of one layer stay within a few MB


def trace(graph: Graph, inputs: Sequence[Array]) -> Iterator[tuple[Operator, list[Array], tuple[Array, ...]]]:
    """Each operator with its arguments and results, in order. `inputs` hold n samples along the first axis.

    Raises ModelError where a result overflows: nothing that follows could be made int8.
    """
    values = {tensor.name: value for tensor, value in zip(graph.inputs, inputs, strict=True)}
    last = {tensor.name: number for number, operator in enumerate(graph.operators) for tensor in operator.inputs}
    for number, operator in enumerate(graph.operators):
        arguments = [values[t.name] if t.data is None else t.data for t in operator.inputs]
        with np.errstate(over="ignore", invalid="ignore"):
            results = operator.float_spec(*arguments)
        if not all(np.isfinite(result).all() for result in results):
            raise ModelError(
                f"{graph.source}: '{operator.label or operator.name}' ({operator.kind}) computes infinite values or "
                "NaN: its weights, or the samples, are beyond what float32 holds"
            )
        yield operator, arguments, results
        values.update((tensor.name, result) for tensor, result in zip(operator.outputs, results, strict=True))
        for tensor in operator.inputs:
            if last[tensor.name] == number:
                values.pop(tensor.name, None)


def evaluate(graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    """The outputs of the model for n samples."""
    found: dict[str, Array] = {t.name: value for t, value in zip(graph.inputs, inputs, strict=True)}
    wanted = {tensor.name for tensor in graph.outputs}
    for operator, _, results in trace(graph, inputs):
        found.update((t.name, r) for t, r in zip(operator.outputs, results, strict=True) if t.name in wanted)
    return [found[tensor.name] for tensor in graph.outputs]


def batches(inputs: Sequence[Array], size: int = BATCH) -> Iterator[list[Array]]:
    for first in range(0, len(inputs[0]), size):
        yield [column[first : first + size] for column in inputs]
