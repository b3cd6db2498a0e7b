"""What the user says of learning, and the Lesson that it asks for: references and a learning rate from samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.errors import DataError, UsageError
from driftc.codegen.graph import Graph
from driftc.codegen.inference import AT_ONCE, infer
from driftc.codegen.learning.backward import fastest
from driftc.codegen.learning.ecotta import place_of
from driftc.codegen.learning.lesson import LARGEST_CLASSES, LARGEST_RATE, LARGEST_STORE, METHODS, Lesson, Meta
from driftc.codegen.learning.trainable import learnable
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.passes.border import border
from driftc.codegen.samples import Samples, load
from driftc.codegen.tensor import Array

KEEP = 5  # references a class
SLOTS = 40  # samples in RAM
PASSES = 30
STEP = 3.0  # learning rate times the mean of the features' squared length
SEED = 1
META_RATE = 2e-3  # of ecotta
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Teaching:
    """`method`: None lets nothing learn. The other fields are as `driftc.compile` describes them."""

    method: str | None = None
    classes: int | None = None
    store: int | None = None  # bytes
    keep: int = KEEP
    rate: float | None = None
    passes: int = PASSES
    guard: bool = True

    def __post_init__(self) -> None:
        if self.method is not None and self.method not in METHODS:
            raise UsageError(f"--learn {self.method}: unknown method; driftc has {', '.join(METHODS)}")
        given = any(getattr(self, field.name) != field.default for field in fields(self))
        if self.method is None and given:
            raise UsageError("options that begin with --learn- belong to --learn")
        if self.method == "ecotta" and any(
            getattr(self, field.name) != field.default for field in fields(self) if field.name not in ("method", "rate")
        ):
            raise UsageError("--learn ecotta learns from no labels: of its options it has --learn-rate alone")
        if not 1 <= self.keep <= LARGEST_STORE:
            raise UsageError(f"--learn-keep {self.keep}: samples of a class, 1 to {LARGEST_STORE}")
        if not 1 <= self.passes <= 1000:
            raise UsageError(f"--learn-passes {self.passes}: needs to be from 1 to 1000")
        if self.rate is not None and not 0 < self.rate < 1000:
            raise UsageError(f"--learn-rate {self.rate:g}: needs to be above 0 and below 1000")

    def find(
        self, model: Graph, data: str | Path | None, labels: str | None, divisor: float, progress: Progress | None
    ) -> tuple[Lesson | Meta, list[str]]:
        """The Lesson for `model`, with references from the samples in `data`, and what the user should know."""
        assert self.method is not None
        if self.method == "ecotta":
            return Meta(model.sha256, place_of(model).pool.name, META_RATE if self.rate is None else self.rate), []
        layer = learnable(model)
        if layer.litert:
            layer.refuse(f"--learn {self.method} rounds as TFLite Micro does; --match litert cannot be kept")
        if data is None:
            raise UsageError(
                f"--learn {self.method}: needs --calibrate FILE.npz, labelled samples (x, y) of every class"
            )
        samples = load(Path(data), border(model).inputs, labels=labels, divisor=divisor)
        known, length = layer.channels, layer.weights.shape[1]
        given = _labels(samples, known)
        classes = known if self.classes is None else self.classes
        if known > LARGEST_CLASSES:
            layer.refuse(f"it decides among {known} classes; --learn {self.method} has room for {LARGEST_CLASSES}")
        if not known <= classes <= LARGEST_CLASSES:
            raise UsageError(
                f"--learn-classes {classes}: the model has {known}; room for {known} to {LARGEST_CLASSES} can be made"
            )
        slots = SLOTS if self.store is None else self.store // (length + 1)
        if not 2 <= slots <= LARGEST_STORE:
            raise UsageError(
                f"--learn-store {self.store}: holds {slots} samples of {length} + 1 bytes; needs 2 to {LARGEST_STORE}"
            )
        features = features_of(model, layer, samples.quantized, progress)
        chosen = _references(given, known, self.keep)
        real = (features.astype(np.float64) - layer.inputs[0].zero_point) * layer.inputs[0].scale
        power = float((real**2).sum(axis=1).mean())
        rate = self.rate if self.rate is not None else STEP / max(power, 1e-12)
        if not rate < LARGEST_RATE:
            layer.refuse("its features are too near 0 to decide the learning rate; give one with --learn-rate")
        if self.rate is None:
            rate = min(rate, fastest(layer, classes))
        lesson = Lesson(
            self.method, model.sha256, layer.name, known, classes, slots, self.keep, float(rate), self.passes,
            self.guard, SEED, features[chosen], given[chosen].astype(np.int8),
        )  # fmt: skip
        return lesson, _notes(layer, given, known)


def _labels(samples: Samples, known: int) -> NDArray[np.int64]:
    if samples.labels is None:
        raise DataError(
            f"{samples.described}: --learn needs labels; give them as y in the same file, one whole number a sample"
        )
    given = np.asarray(samples.labels, np.int64).reshape(-1)
    if given.size == 0 or int(given.min()) < 0 or int(given.max()) >= known:
        raise DataError(f"{samples.described}: labels must be classes of the model, 0 to {known - 1}")
    return given


def _notes(layer: FullyConnected, given: NDArray[np.int64], known: int) -> list[str]:
    absent = sorted(set(range(known)) - set(given.tolist()))
    title, notes = f"learning, layer '{layer.label or layer.name}'", []
    if absent:
        listed = ", ".join(map(str, absent[:8]))
        notes.append(f"{title}: no sample of class {listed}, so that nothing holds it while others are learnt")
    assert layer.weights.data is not None
    lowest = int(np.count_nonzero(layer.weights.data == -128))
    if lowest:
        notes.append(f"{title}: {lowest} weights of -128 become -127, so that its outputs can differ by a step")
    return notes


def _references(labels: NDArray[np.int64], known: int, keep: int) -> NDArray[np.int64]:
    """Numbers of `keep` samples of each class, spread by a seed."""
    order = np.random.default_rng(SEED).permutation(len(labels))
    found = [order[labels[order] == label][:keep] for label in range(known)]
    return np.concatenate(found)


def features_of(
    model: Graph, layer: FullyConnected, samples: Sequence[Sequence[Array]], progress: Progress | None = None
) -> NDArray[np.int8]:
    """What `layer` reads of each sample: int8 [n, F]."""
    inner, found = border(model), []
    for start in range(0, len(samples), AT_ONCE):
        some = samples[start : start + AT_ONCE]
        values = infer(inner, [np.stack(arrays) for arrays in zip(*some, strict=True)])
        found.append(values[layer.inputs[0].name].reshape(len(some), -1))
        if progress is not None:
            progress(start + len(some), len(samples))
    return np.concatenate(found).astype(np.int8)
