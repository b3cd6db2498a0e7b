"""One operator against a reference: small models through a reference's interpreter, which stays alive between them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from models import ModelBuilder, Tensor
from numpy.typing import NDArray

from driftc.codegen.frontends.tflite.load import load
from driftc.codegen.graph import Graph
from driftc.codegen.passes.match import match_litert
from driftc.codegen.passes.tabulate import tabulate
from driftc.simulator.reference import GraphRun
from driftc.simulator.references import LitertReference, ReferenceRefused, TflmReference
from driftc.simulator.references.worker import Worker, outline

Array = NDArray[Any]
Kind = Literal["tflm", "ai_edge_litert"]


class Oracle:
    """A reference's interpreter in a child process, started anew when a model has killed it."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._worker: Worker | None = None
        self._folder = tempfile.TemporaryDirectory()
        self.path = Path(self._folder.name) / "model.tflite"

    def missing(self) -> str | None:
        return (TflmReference() if self.kind == "tflm" else LitertReference()).missing()

    def run(self, model: bytes, samples: Sequence[Sequence[Array]]) -> list[dict[int, Array]] | ReferenceRefused:
        """Every tensor of each sample by its index, or why the reference does not run the model."""
        self.path.write_bytes(model)
        known = outline(self.kind, self.path)
        request = {"do": "open", "kind": self.kind, "model": str(self.path)}
        try:
            worker = self._started()
            worker.ask({**request, "tensors": known.tensors})
            return [worker.ask({"do": "run"}, sample)[1] for sample in samples]
        except ReferenceRefused as refused:
            if "process ended" in refused.reason or "no answer" in refused.reason:
                self._stop()
            return refused

    def _started(self) -> Worker:
        if self._worker is None:
            self._worker = Worker(self.kind, self.path, timeout=60.0).__enter__()
        return self._worker

    def _stop(self) -> None:
        if self._worker is not None:
            self._worker.__exit__(None, None, None)
            self._worker = None

    def close(self) -> None:
        self._stop()
        self._folder.cleanup()


def load_bytes(model: bytes) -> Graph:
    """The Graph of a model that is in memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(model)
        return load(path)


def interpret(run: GraphRun, sample: Sequence[Array]) -> dict[int, Array]:
    """Every operator's output by tensor index, from the operators' specifications alone; states go on."""
    values = run.run(sample)
    found: dict[int, Array] = {}
    for operator in run.graph.operators:
        for tensor in operator.outputs:
            result = values[tensor.name]
            assert result.shape == tensor.shape, (operator, result.shape)
            assert result.dtype == tensor.dtype, (operator, result.dtype)
            if tensor.index is not None:  # else a pass made it
                found[tensor.index] = result
    return found


def samples_of(builder: ModelBuilder, seed: int, count: int = 2) -> list[list[Array]]:
    """Random inputs, then every value in turn, all lowest, all highest, all at the zero point."""
    random = np.random.default_rng(seed)
    patterns = range(-count, 4)
    return [[_values(builder, tensor, pattern, random) for tensor in builder.inputs] for pattern in patterns]


def _values(builder: ModelBuilder, tensor: Tensor, pattern: int, random: np.random.Generator) -> Array:
    """Random for a negative `pattern`; indices, truth values and floats always are."""
    if tensor.dtype == np.bool_:
        return random.integers(0, 2, tensor.shape).astype(np.bool_)
    if tensor.dtype == np.int32:
        return random.integers(0, _entries(builder, tensor), tensor.shape, np.int32)
    if tensor.dtype == np.int16:
        return random.integers(-(1 << 15), 1 << 15, tensor.shape, np.int16)
    if tensor.dtype == np.float32:
        return (random.standard_normal(tensor.shape) * 10.0 ** random.integers(-2, 3)).astype(np.float32)
    low, high = np.iinfo(tensor.dtype).min, np.iinfo(tensor.dtype).max
    if pattern < 0:
        return random.integers(low, high + 1, tensor.shape, tensor.dtype)
    if pattern == 0:
        return np.resize(np.arange(low, high + 1), tensor.shape).astype(tensor.dtype)
    return np.full(tensor.shape, (low, high, tensor.zero_point[0])[pattern - 1], tensor.dtype)


def _entries(builder: ModelBuilder, indices: Tensor) -> int:
    """How many entries the table has that `indices` looks into."""
    for operator in builder.operators:
        if indices.index in operator.inputs and operator.code in ("GATHER", "GATHER_ND", "EMBEDDING_LOOKUP"):
            table = next(index for index in operator.inputs if index != indices.index)
            if operator.code == "GATHER_ND":
                return min(builder.tensors[table].shape[: indices.shape[-1]])
            axis = operator.options.get("Axis", 0)
            assert isinstance(axis, int)
            return builder.tensors[table].shape[axis]
    return 1


def compare(builder: ModelBuilder, reference: Oracle, seed: int = 0, samples: list[list[Array]] | None = None) -> None:
    """Fail unless the specification gives the reference's bytes for every operator output."""
    model = builder.build()
    given = samples if samples is not None else samples_of(builder, seed)
    expected = reference.run(model, given)
    assert not isinstance(expected, ReferenceRefused), expected
    graph = tabulate(load_bytes(model))
    if reference.kind != "tflm":
        graph = match_litert(graph)
    run = GraphRun(graph)
    for number, sample in enumerate(given):
        for index, result in interpret(run, sample).items():
            want = expected[number][index]
            assert want.shape == result.shape, (builder.tensors[index].name, want.shape, result.shape)
            wrong = np.argwhere(want != result)
            where = tuple(wrong[0]) if len(wrong) else ()
            assert not len(wrong), (
                f"{builder.operators}: sample {number}, {len(wrong)} of {want.size} differ, first at {where}: "
                f"{want[where]} in the reference, {result[where]} here"
            )
