"""The stronger model that says what uploads are: forward passes alone, normalised by the statistics of the batch.

A network trained without a shift decides far better under it once its batch normalisations use the mean and variance
of what they are given (Schneider et al. 2020, Nado et al. 2020). Its parameters stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.errors import ModelError, UsageError
from driftc.codegen.evaluate import BATCH, batches, evaluate
from driftc.codegen.frontends import load_model
from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.normalization.batch_normalization import BatchNormalization
from driftc.codegen.operators.reduction.softmax import Softmax
from driftc.codegen.tensor import Array, Shape

Floats = NDArray[np.float32]
TOGETHER = 128  # samples at most that are normalised by their common statistics
ALONE = 16  # of a device, which suffice for its own
SMALLEST = 1e-9  # of a probability


@dataclass(frozen=True, eq=False, kw_only=True)
class BatchStatistics(BatchNormalization):
    """The same by the mean and variance of the batch."""

    @property
    def kind(self) -> str:
        return "BATCH_NORMALIZATION"

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        (x,) = inputs
        axes = tuple(range(x.ndim - 1))
        mean, variance = x.mean(axes, dtype=np.float64), x.var(axes, dtype=np.float64)
        scale = self.gamma / np.sqrt(variance + self.epsilon)
        return (np.asarray(x * scale.astype(np.float32) + (self.beta - scale * mean).astype(np.float32)),)


class Teacher:
    """A float model with one input and one output, of one decision among `classes`."""

    def __init__(self, graph: Graph, shape: Shape, classes: int) -> None:
        """`shape`: of one sample of the edge model, without the first axis. Raises UsageError where they do not fit."""
        if not graph.is_float:
            raise UsageError(f"{graph.source}: is quantised; a teacher is a float model")
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise UsageError(f"{graph.source}: a teacher has one input and one output")
        (given,), (gives,) = graph.inputs, graph.outputs
        if given.shape[1:] != shape:
            raise UsageError(
                f"{graph.source}: the teacher takes {list(given.shape[1:])}, the compiled model {list(shape)}; "
                "put a resize, or whatever it needs, into the teacher"
            )
        if gives.size != classes:
            raise UsageError(f"{graph.source}: the teacher has {gives.size} outputs, the compiled model {classes}")
        self._plain, self.classes = graph, classes
        self._by_batch = graph.with_operators([_by_batch(operator) for operator in graph.operators])
        self._ends_in_softmax = isinstance(graph.producers()[gives.name], Softmax)

    @classmethod
    def load(cls, path: Path, shape: Shape, classes: int) -> Teacher:
        """Keras, SavedModel, ONNX, torch.export or float .tflite. Raises ModelError, UsageError or ToolError."""
        if not path.exists():
            raise UsageError(f"{path}: no such file; --teacher names a float model")
        return cls(load_model(path), shape, classes)

    @property
    def notes(self) -> list[str]:
        if any(isinstance(operator, BatchStatistics) for operator in self._by_batch.operators):
            return []
        return [f"{self._plain.source}: has no batch normalisation; the teacher decides as it was trained"]

    def probabilities(
        self, samples: Floats, devices: NDArray[np.int64] | None = None, *, shifted: bool = True
    ) -> Floats:
        """[n, classes] of real samples [n, ...]. If `shifted`, by the statistics of those of one device, or of all that
        are of devices with fewer than ALONE; `devices` None: they are of one.
        """
        if not shifted:
            return self._decided(self._plain, samples, BATCH)
        found = np.empty((len(samples), self.classes), np.float32)
        for places in _together(np.zeros(len(samples), np.int64) if devices is None else devices):
            found[places] = self._decided(self._by_batch, samples[places], even(len(places), TOGETHER))
        return found

    def _decided(self, graph: Graph, samples: Floats, together: int) -> Floats:
        try:
            found = [evaluate(graph, batch)[0].reshape(-1, self.classes) for batch in batches([samples], together)]
        except ModelError as error:
            raise error.within(graph.source) from None
        outputs = np.concatenate(found)
        if self._ends_in_softmax:
            return outputs
        raised = np.exp(outputs - outputs.max(-1, keepdims=True))
        return np.asarray(raised / raised.sum(-1, keepdims=True), np.float32)


def _together(devices: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Places of those that share statistics."""
    names, counts = np.unique(devices, return_counts=True)
    alone = [np.flatnonzero(devices == name) for name in names[counts >= ALONE]]
    rest = np.flatnonzero(np.isin(devices, names[counts < ALONE]))
    return [*alone, *([rest] if rest.size else [])]


def even(count: int, largest: int) -> int:
    """The size of batches of at most `largest` that differ by few samples, so that none is of two or three."""
    parts = max(1, -(-count // largest))
    return max(1, -(-count // parts))


def _by_batch(operator: Operator) -> Operator:
    if not isinstance(operator, BatchNormalization):
        return operator
    return BatchStatistics(**{field.name: getattr(operator, field.name) for field in fields(operator)})
