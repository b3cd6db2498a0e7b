"""What a reference makes of the model file beside the specification, tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.graph import Graph
from driftc.codegen.lower import Lowered
from driftc.codegen.operators.base import Operator
from driftc.codegen.passes.match import as_litert
from driftc.codegen.tensor import Tensor
from driftc.simulator.difference import Pairs
from driftc.simulator.engine import Starts
from driftc.simulator.references import LitertReference, ReferenceRefused, TflmReference

Array = NDArray[Any]
Reference = TflmReference | LitertReference
Tensors = dict[str, Array]
Stream = Iterator[Callable[[Tensors], Pairs]]  # one item a sample


def _undefined(operator: Operator, reference: str) -> str:
    """Why it is not compared with `reference`, where that is so."""
    return operator.tflm_undefined if reference == "tflm" else operator.litert_undefined


def not_compared(lowered: Lowered, reference: str) -> list[str]:
    """Which operators are not compared with `reference`, and why."""
    names: dict[str, list[str]] = {}
    for operator in lowered.model.operators:
        if reason := _undefined(operator, reference):
            names.setdefault(reason, []).append(operator.name)
    return [f"{reference} was not compared at {', '.join(found)}: {reason}" for reason, found in names.items()]


def reference_stream(
    lowered: Lowered, reference: Reference, model: Path, fed: list[list[Array]], match: str, starts: Starts
) -> Stream:
    """A reference's own tensors: in a chain, or operator by operator where it is known to depart, or is undefined.

    Then our operator is given the reference's rounding and the reference's own tensors as its inputs. So it is too
    where layers are live, or learn: a reference knows the model without them.
    """
    alike = match == reference.name or not any(operator.departures for operator in lowered.model.operators)
    alike = alike and lowered.adaptation is None and lowered.learned is None
    alike = alike and not (reference.name == "tflm" and not_compared(lowered, "tflm"))
    graph = lowered.source if reference.name == "tflm" else as_litert(lowered.source)
    states: Tensors = {}
    for number, tensors in enumerate(reference.run(model, fed, starts)):
        _same_shapes(graph, reference.name, model, tensors)
        if number in starts:
            states = {state.tensor.name: state.initial for state in graph.states}
        if alike:
            yield lambda values, t=tensors: _observable(lowered, _chain_pairs(lowered.model, values, t))  # type: ignore[misc]
        else:
            yield lambda values, t=tensors, s=states: _observable(lowered, _local_pairs(graph, reference.name, t, s))  # type: ignore[misc]
            states = _states_after(graph, tensors)


def _same_shapes(graph: Graph, reference: str, model: Path, tensors: dict[int, Array]) -> None:
    """Raise ReferenceRefused where the file leaves extents open, and the reference takes what stands in their place."""
    for tensor in graph.tensors():
        got = tensors.get(tensor.index) if tensor.index is not None else None
        if got is not None and got.size != tensor.size:
            raise ReferenceRefused(
                reference,
                model,
                f"tensor '{tensor.label}' has {list(got.shape)} there, which the file leaves open; it follows to be "
                f"{list(tensor.shape)}",
            )


def _observable(lowered: Lowered, pairs: Pairs) -> Pairs:
    """Without float32 values within tables, in which a libm has its part. The int8 behind them is compared."""
    return [pair for pair in pairs if pair[0].dtype != np.float32 or pair[0].name not in lowered.graph.fused]


def _chain_pairs(model: Graph, values: Tensors, tensors: dict[int, Array]) -> Pairs:
    return [
        (tensor, values[tensor.name], tensors[tensor.index])
        for operator in model.operators
        for tensor in operator.outputs
        if tensor.index in tensors
    ]


def _local_pairs(graph: Graph, reference: str, tensors: dict[int, Array], states: Tensors) -> Pairs:
    """`states` are the reference's own before the inference, as far as it shows them."""
    kept = {state.tensor.name for state in graph.states}
    pairs: Pairs = []
    for operator in graph.operators:
        if _undefined(operator, reference):
            continue
        inputs = [
            states.get(t.name) if t.name in kept else t.data if t.data is not None else tensors.get(_index(t))
            for t in operator.inputs
        ]
        known = [value for value in inputs if value is not None]
        if len(known) < len(inputs):
            continue
        shaped = [value.reshape(t.shape) for value, t in zip(known, operator.inputs, strict=True)]
        for tensor, value in zip(operator.outputs, operator.spec(*shaped), strict=True):
            if tensor.index in tensors:
                pairs.append((tensor, value, tensors[tensor.index]))
    return pairs


def _states_after(graph: Graph, tensors: dict[int, Array]) -> Tensors:
    """What a reference's inference left in the states: a tensor marked as variable, or what was assigned to one."""
    found: Tensors = {}
    made = graph.producers()
    for state in graph.states:
        operator = made.get(state.next)
        if operator is None:
            continue
        tensor = next(tensor for tensor in operator.outputs if tensor.name == state.next)
        source = operator.inputs[0] if tensor.index is None else tensor
        value = source.data if source.data is not None else tensors.get(_index(source))
        if value is not None:
            found[state.tensor.name] = value
    return found


def _index(tensor: Tensor) -> int:
    """In the model file; -1, which no tensor has, for what is not in it."""
    return -1 if tensor.index is None else tensor.index
