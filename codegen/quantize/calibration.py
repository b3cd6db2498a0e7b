"""Samples to calibrate with: read from a file, and refused where they cannot be what the model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from driftc.codegen.errors import DataError
from driftc.codegen.evaluate import trace
from driftc.codegen.graph import Graph
from driftc.codegen.operators.normalization.batch_normalization import BatchNormalization
from driftc.codegen.samples import channels_last, read
from driftc.codegen.tensor import Array, Tensor

FEWEST = 16
ENOUGH = 500
ODD = 16.0  # a factor between the spread that the model was trained on and the samples', which no shift explains
LOOKED_AT = 64


@dataclass(frozen=True, eq=False)
class Calibration:
    """One float32 array per input, n samples along the first axis, and what the user should be told about them."""

    inputs: tuple[Array, ...]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.inputs[0])

    def first(self, count: int) -> list[Array]:
        """`count` samples spread over all of them, for a file may be sorted by class."""
        places = np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).astype(int))
        return [column[places] for column in self.inputs]


def load(path: Path, graph: Graph, *, divisor: float = 1.0) -> Calibration:
    """Read a .npz or .npy file for the inputs of the float `graph`. Raises DataError saying what was expected."""
    return check(graph, read(path, graph.inputs), path.name, divisor=divisor)


def check(graph: Graph, columns: Sequence[Array], title: str, *, divisor: float = 1.0) -> Calibration:
    """Samples that are in memory. `divisor` is what the values are divided by first."""
    if not 0 < divisor < np.inf:
        raise DataError(f"input divisor {divisor}: must be above 0")
    turned = [channels_last(column, tensor) for column, tensor in zip(columns, graph.inputs, strict=True)]
    inputs = tuple(_reals(title, c, t, divisor) for c, t in zip(turned, graph.inputs, strict=True))
    if len({len(column) for column in inputs}) > 1:
        counts = ", ".join(f"'{t.label}' {len(c)}" for t, c in zip(graph.inputs, inputs, strict=True))
        raise DataError(f"{title}: the inputs have different numbers of samples: {counts}")
    count = len(inputs[0])
    if count < FEWEST:
        raise DataError(f"{title}: {count} samples are too few to calibrate with; give {ENOUGH} or more")
    notes = [f"calibrated: {count} samples of {title}, values {_reach(inputs)}"]
    for tensor, before, column in zip(graph.inputs, columns, turned, strict=True):
        if column is not before:
            shape = ", ".join(["samples", *map(str, tensor.shape[1:])])
            notes.append(f"'{tensor.label}': the samples are channels first; taken as [{shape}]")
    if count < ENOUGH:
        notes.append(f"warning: {count} calibration samples are few; {ENOUGH} or more give steadier ranges")
    found = Calibration(inputs, tuple(notes))
    _check_scale(graph, found, title)
    return found


def _reach(inputs: Sequence[Array]) -> str:
    return ", ".join(f"{column.min():g} to {column.max():g}" for column in inputs)


def _reals(title: str, column: Array, tensor: Tensor, divisor: float) -> Array:
    inner = tensor.shape[1:]
    wanted = ", ".join(["samples", *map(str, inner)])
    if column.ndim > 0 and len(column) == 0:
        raise DataError(f"{title}: '{tensor.label}' is empty; expected [{wanted}]")
    if column.shape[1:] == tensor.shape:
        column = column.reshape(len(column), *inner)
    if column.ndim < 1 or column.shape[1:] != inner:
        raise DataError(f"{title}: '{tensor.label}' has shape {list(column.shape)}; expected [{wanted}]")
    if tensor.dtype == np.int32:
        if column.dtype.kind not in "iu":
            raise DataError(f"{title}: '{tensor.label}' is {column.dtype}; the model takes integers there: indices")
        return column.astype(np.int32)
    if column.dtype not in (np.float16, np.float32, np.float64, np.uint8):
        raise DataError(
            f"{title}: '{tensor.label}' is {column.dtype}; a float model is calibrated with real values: "
            "float32, or uint8 for 0..255 (see --input-divisor)"
        )
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused
        reals = np.asarray(column, np.float32) / np.float32(divisor if column.dtype == np.uint8 else 1)
    if not np.all(np.isfinite(reals)):
        bad = int(np.argwhere(~np.isfinite(reals.reshape(len(reals), -1)).all(axis=1))[0, 0])
        raise DataError(f"{title}: '{tensor.label}' holds NaN or infinite values, first in sample {bad}")
    if np.ptp(reals) == 0:
        raise DataError(f"{title}: '{tensor.label}' holds {reals.flat[0]:g} everywhere; give real samples")
    return reals


def _check_scale(graph: Graph, samples: Calibration, title: str) -> None:
    """The first batch normalisation remembers the spread of its inputs in training: 0..1 for 0..255 shows there."""
    for operator, arguments, _ in trace(graph, samples.first(LOOKED_AT)):
        if not isinstance(operator, BatchNormalization):
            continue
        spread = arguments[0].reshape(-1, arguments[0].shape[-1]).var(axis=0, dtype=np.float64)
        known = operator.variance.astype(np.float64)
        usual = (known > known.max() * 1e-3) & (spread > 0)
        if not usual.any():
            return
        ratio = float(np.exp(np.median(np.log(spread[usual] / known[usual])) / 2))
        if 1 / ODD <= ratio <= ODD:
            return
        times = f"{1 / ratio:.3g} times as large" if ratio < 1 else f"{ratio:.3g} times smaller"
        advice = (
            "; give values 0..255 to a model trained on them"
            if ratio < 1
            else "; --input-divisor 255 brings uint8 values 0..255 to 0..1"
        )
        raise DataError(
            f"{title}: values {_reach(samples.inputs)} are not on the scale that the model was trained on: "
            f"'{operator.label or operator.name}' expects them about {times}{advice}"
        )
