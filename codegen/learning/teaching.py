"""What the user says of learning, and the Lesson that it asks for: references and a learning rate from samples."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.errors import DataError, UsageError
from driftc.codegen.graph import Graph
from driftc.codegen.learning.backward import backward, fastest, rates
from driftc.codegen.learning.choice import FEWEST, TAUGHT, Way, measure
from driftc.codegen.learning.ecotta import place_of
from driftc.codegen.learning.layers import Normalised, Tail
from driftc.codegen.learning.learner import Learner
from driftc.codegen.learning.lesson import (
    LARGEST_CLASSES,
    LARGEST_RATE,
    LARGEST_STORE,
    METHODS,
    MOST_PARTS,
    TRAINED,
    Lesson,
    Means,
    Meta,
)
from driftc.codegen.learning.means import class_means, slope_of
from driftc.codegen.learning.rehearsal import STEPS, Rehearsal
from driftc.codegen.learning.tail import tail_of
from driftc.codegen.learning.trainable import learnable, trainable, widened
from driftc.codegen.learning.values import Progress, tensor_of, values_of
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.learn.conv_update import ConvUpdate
from driftc.codegen.operators.learn.cross_entropy import NO_LABEL, ONE
from driftc.codegen.operators.learn.meta_running import CENTRE_FRACTION, FEWEST_BITS, MOST_BITS, SPREAD_FRACTION
from driftc.codegen.operators.learn.norm_update import NormUpdate
from driftc.codegen.passes.border import border
from driftc.codegen.samples import Samples, load

KEEP = 5  # references a class
SLOTS = 40  # samples in RAM
PASSES = 30
SEED = 1
META_RATE = 2e-3  # of ecotta
TYPES: dict[str, type | tuple[type, ...]] = {
    "method": str, "classes": int, "store": int, "keep": int, "rate": (int, float), "passes": int, "guard": bool,
    "hold": (int, float), "layers": int, "masters": int,
    "running": int, "parts": int,
}  # fmt: skip
STATISTICS = 1000  # samples from which those of the source are taken
TAIL_SHARE = 1.0  # of what a step of the dense layer moves, a convolution's own
CONVOLUTIONS = ("last", "lightcl")
HOLD = 2e-4  # of lightcl, as published
MOST_LAYERS = 16
MATTERS = 0.15  # of the channels, those of the largest sums, are held, as published
PROBED = 48  # references by which their learning rates are decided


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
    hold: float | None = None
    layers: int = 1
    masters: int = 32  # bits
    running: int | None = None  # of ecotta: statistics run at 2^-running
    parts: int = 1  # of ecotta: of the network, each with a meta network at its end

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            fits = isinstance(value, TYPES[field.name]) and isinstance(value, bool) == (field.name == "guard")
            if not fits and not (value is None and field.default is None):
                name = {"method": "learn", "running": "adapt_running"}.get(field.name, f"learn_{field.name}")
                raise UsageError(f"option {name}: a {type(value).__name__} is of the wrong type")
        if self.method is not None and self.method not in METHODS:
            raise UsageError(f"--learn {self.method}: unknown method; driftc has {', '.join(METHODS)}")
        given = any(getattr(self, field.name) != field.default for field in fields(self))
        if self.method is None and given:
            raise UsageError("options that begin with --learn-, and --adapt-running, belong to --learn")
        own = ("method", "rate", "running", "parts")
        if self.method == "ecotta" and any(
            getattr(self, field.name) != field.default for field in fields(self) if field.name not in own
        ):
            raise UsageError(
                "--learn ecotta learns from no labels: of its options it has --learn-rate, --learn-parts and "
                "--adapt-running alone"
            )
        if self.hold is not None and self.method not in CONVOLUTIONS:
            raise UsageError("--learn-hold belongs to --learn last and --learn lightcl, which train a convolution")
        if self.layers != 1 and (self.method != "last" or self.hold):
            raise UsageError("--learn-layers belongs to --learn last without --learn-hold")
        if self.masters not in (16, 32):
            raise UsageError(f"--learn-masters {self.masters}: masters are of 32 bits, or of 16")
        if self.masters != 32 and self.method not in TRAINED:
            raise UsageError("--learn-masters belongs to --learn classifier, last and lightcl, which train weights")
        if not 1 <= self.layers <= MOST_LAYERS:
            raise UsageError(f"--learn-layers {self.layers}: convolutions that learn, 1 to {MOST_LAYERS}")
        if self.hold is not None and not 0 <= self.hold < LARGEST_RATE:
            raise UsageError(f"--learn-hold {self.hold:g}: needs to be from 0 to below {LARGEST_RATE:g}")
        if self.method == "mean" and (self.rate is not None or self.passes != PASSES):
            raise UsageError("--learn mean takes each sample once into its class's mean: it has no rate and no passes")
        if self.running is not None and self.method != "ecotta":
            raise UsageError("--adapt-running belongs to --learn ecotta")
        if self.running is not None and not FEWEST_BITS <= self.running <= MOST_BITS:
            raise UsageError(
                f"--adapt-running {self.running}: needs to be from {FEWEST_BITS} to {MOST_BITS}; statistics then move "
                f"by 2^-{FEWEST_BITS} to 2^-{MOST_BITS} of what each sample is away from them"
            )
        if self.parts != 1 and self.method != "ecotta":
            raise UsageError("--learn-parts belongs to --learn ecotta")
        if not 1 <= self.parts <= MOST_PARTS:
            raise UsageError(f"--learn-parts {self.parts}: needs to be from 1 to {MOST_PARTS}")
        if self.parts > 1 and self.running is not None:
            raise UsageError("--learn-parts does not go with --adapt-running: together they gained nothing more")
        if not 1 <= self.keep <= LARGEST_STORE:
            raise UsageError(f"--learn-keep {self.keep}: samples of a class, 1 to {LARGEST_STORE}")
        if not 1 <= self.passes <= 1000:
            raise UsageError(f"--learn-passes {self.passes}: needs to be from 1 to 1000")
        alone = self.running is not None and self.rate == 0
        if self.rate is not None and not (alone or 0 < self.rate < 1000):
            raise UsageError(f"--learn-rate {self.rate:g}: needs to be above 0 and below 1000")

    def find(
        self,
        model: Graph,
        data: str | Path | None,
        labels: str | None,
        divisor: float,
        progress: Progress | None,
        core: str,
        fed: bool = False,
    ) -> tuple[Lesson | Meta, list[str]]:
        """The Lesson for `model`, with references from the samples in `data`, and what the user should know.

        `core` is what it is compiled for. `fed`: its input arrives row by row.
        """
        assert self.method is not None
        if self.method == "ecotta":
            return self._meta(model, data, labels, divisor, progress, fed), []
        layer = learnable(model)
        if layer.litert and self.method in TRAINED:
            layer.refuse(f"--learn {self.method} rounds as TFLite Micro does; --match litert cannot be kept")
        if data is None:
            raise UsageError(
                f"--learn {self.method}: needs --calibrate FILE.npz, labelled samples (x, y) of every class"
            )
        samples = load(Path(data), border(model).inputs, labels=labels, divisor=divisor)
        known = layer.channels
        given = _labels(samples, known)
        classes = known if self.classes is None else self.classes
        if known > LARGEST_CLASSES:
            layer.refuse(f"it decides among {known} classes; --learn {self.method} has room for {LARGEST_CLASSES}")
        if not known <= classes <= LARGEST_CLASSES:
            raise UsageError(
                f"--learn-classes {classes}: the model has {known}; room for {known} to {LARGEST_CLASSES} can be made"
            )
        tail = tail_of(model, fed, self.layers) if self.method in CONVOLUTIONS else None
        sample = layer.inputs[0] if tail is None else tail.sample
        slots = SLOTS if self.store is None else self.store // (sample.size + 1)
        if not 2 <= slots <= LARGEST_STORE:
            raise UsageError(
                f"--learn-store {self.store}: holds {slots} samples of {sample.size} + 1 bytes; needs 2 to "
                f"{LARGEST_STORE}"
            )
        features, stored = values_of(model, (layer.inputs[0], sample), samples.quantized, progress)
        chosen = _references(given, known, self.keep)
        if self.method == "mean":
            return self._means(model, layer, classes, slots, features, given, chosen), _absent(layer, given, known)
        real = (features.astype(np.float64) - layer.inputs[0].zero_point) * layer.inputs[0].scale
        power = float((real**2).sum(axis=1).mean())
        steps = STEPS if tail is None else STEPS[:1]  # features that learn too are others than those that are tried
        tried = [step / max(power, 1e-12) for step in steps] if self.rate is None else [self.rate]
        if not tried[0] < LARGEST_RATE:
            layer.refuse("its features are too near 0 to decide the learning rate; give one with --learn-rate")
        if self.rate is not None:
            rates(layer, classes, self.rate)  # refuses what is out of range
        method = self.method
        rehearsal = Rehearsal.of(layer, real, given, keep=self.keep, passes=self.passes, seed=SEED)
        rate, reach = rehearsal.found(tried)

        def on(reach: float) -> tuple[Graph, FullyConnected, Tail | None, Lesson]:
            """With room up to `reach`."""
            wide = widened(model, reach)
            dense, found = learnable(wide), tail and tail_of(wide, fed, self.layers)
            chosen_rate = rate if self.rate is not None else min(rate, fastest(dense, classes))
            of_tail: dict[str, Any] = {}
            if found is not None:
                of_tail = {"sample": found.sample.name, "layers": found.names, "rates": (0.0,) * len(found.layers)}
            lesson = Lesson(
                method, model.sha256, layer.name, known, classes, slots, self.keep, float(chosen_rate),
                self.passes, self.guard, SEED, stored[chosen], given[chosen].astype(np.int8), reach=reach,
                masters=self.masters, **of_tail,
            )  # fmt: skip
            if found is not None:
                lesson = with_rates(wide, found, lesson, chosen_rate * power)
                backward(trainable(wide, lesson, found), dense, lesson, found)  # refuses rates out of range
            return wide, dense, found, lesson

        try:
            model, layer, tail, lesson = on(reach)
        except UsageError:  # errors in coarser steps need larger constants
            model, layer, tail, lesson = on(0.0)
        notes = _notes(layer, tail, given, known)
        if tail is not None:
            hold = self.hold if self.hold is not None else HOLD * (self.method == "lightcl")
            held = replace(lesson, hold=float(hold), held=most_active(model, tail, lesson)) if hold else lesson
            if self.method == "lightcl":
                notes += _ways(model, tail, held, features, stored, given, chosen, core)
            if held.alone and not self.guard:  # references serve the check alone
                held = replace(held, references=held.references[:0], labels=held.labels[:0])
            lesson = held
        return lesson, notes

    def _means(
        self, model: Graph, layer: FullyConnected, classes: int, slots: int, features: NDArray[np.int8],
        given: NDArray[np.int64], chosen: NDArray[np.int64],
    ) -> Means:  # fmt: skip
        known = layer.channels
        means = class_means(features, given, known)
        counts = np.where(np.bincount(given, minlength=known) > 0, min(self.keep, 127), 0).astype(np.int8)
        apart = chosen if self.guard else chosen[:0]  # references serve the check alone
        return Means(
            "mean", model.sha256, layer.name, known, classes, slots, self.keep, 1.0, 1, self.guard, SEED,
            features[apart], given[apart].astype(np.int8), means=means, counts=counts,
            slope=slope_of(features, given, means),
        )  # fmt: skip

    def _meta(
        self, model: Graph, data: str | Path | None, labels: str | None, divisor: float, progress: Progress | None,
        fed: bool,
    ) -> Meta:  # fmt: skip
        place = place_of(model)
        rate = META_RATE if self.rate is None else self.rate
        if self.running is None:
            if self.parts > 1 and fed:
                raise UsageError("--learn-parts needs the input whole, which --feed rows does not keep")
            return Meta(model.sha256, place.pool.name, rate, parts=self.parts)
        if data is None:
            raise UsageError("--adapt-running: needs --calibrate FILE.npz, samples of what the model was trained on")
        samples = load(Path(data), border(model).inputs, labels=labels, divisor=divisor)
        some = [samples.quantized[n] for n in _spread(len(samples), STATISTICS)]
        maps = np.stack([x.reshape(-1, place.features) for x in tensor_of(model, place.pool.inputs[0], some, progress)])
        centres, spreads = source_statistics(maps, place.pool.inputs[0].zero_point)
        return Meta(model.sha256, place.pool.name, rate, running=self.running, centres=centres, spreads=spreads)


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """Up to `most` numbers out of `count`, evenly."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def source_statistics(maps: NDArray[np.int8], zero: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Means (Q.16) and variances (Q.12) of each channel of int8 maps [n, pixels, F], in steps above `zero`."""
    x = maps.reshape(-1, maps.shape[-1]).astype(np.int64) - zero
    sums, squares, count = x.sum(axis=0), (x * x).sum(axis=0), len(x)
    centres = [int(s) * 2**CENTRE_FRACTION // count for s in sums]
    spreads = [
        (int(q) * count - int(s) ** 2) * 2**SPREAD_FRACTION // count**2 for s, q in zip(sums, squares, strict=True)
    ]
    return tuple(centres), tuple(spreads)


def _labels(samples: Samples, known: int) -> NDArray[np.int64]:
    if samples.labels is None:
        raise DataError(
            f"{samples.described}: --learn needs labels; give them as y in the same file, one whole number a sample"
        )
    given = np.asarray(samples.labels, np.int64).reshape(-1)
    if given.size == 0 or int(given.min()) < 0 or int(given.max()) >= known:
        raise DataError(f"{samples.described}: labels must be classes of the model, 0 to {known - 1}")
    return given


def _absent(layer: FullyConnected, given: NDArray[np.int64], known: int) -> list[str]:
    """Of class means: which there are none of."""
    absent = sorted(set(range(known)) - set(given.tolist()))
    if not absent:
        return []
    listed = ", ".join(map(str, absent[:8]))
    return [
        f"learning, layer '{layer.label or layer.name}': no sample of class {listed}, which is decided for only once "
        "it is learnt"
    ]


def _notes(layer: FullyConnected, tail: Tail | None, given: NDArray[np.int64], known: int) -> list[str]:
    absent = sorted(set(range(known)) - set(given.tolist()))
    title, notes = f"learning, layer '{layer.label or layer.name}'", []
    if absent:
        listed = ", ".join(map(str, absent[:8]))
        notes.append(f"{title}: no sample of class {listed}, so that nothing holds it while others are learnt")
    for learnt in (layer, *(tail.layers if tail else ())):
        if isinstance(learnt, Normalised):
            continue
        assert learnt.weights.data is not None
        lowest = int(np.count_nonzero(learnt.weights.data == -128))
        if lowest:
            name = learnt.label or learnt.name
            notes.append(
                f"learning, layer '{name}': {lowest} weights of -128 become -127, so that its outputs can differ by a "
                "step"
            )
    if tail is not None:
        what = "its input" if tail.at_input else f"what '{tail.layers[0].label or tail.layers[0].name}' reads"
        notes.append(f"learning: a sample is stored as {what}, {tail.sample.size} B")
    return notes


def _references(labels: NDArray[np.int64], known: int, keep: int) -> NDArray[np.int64]:
    """Numbers of `keep` samples of each class, spread by a seed."""
    order = np.random.default_rng(SEED).permutation(len(labels))
    found = [order[labels[order] == label][:keep] for label in range(known)]
    return np.concatenate(found)


def with_rates(model: Graph, tail: Tail, lesson: Lesson, step: float) -> Lesson:
    """`lesson` with learning rates for the layers of `tail`, by which a step moves the logits as far as `step` says.

    That is the rate times the mean squared length of the gradient of the decision by the layer's weights, the
    gradient at the logits having length 1: what `step` is for the dense layer.
    """
    rates = []
    for layer, length in zip(tail.layers, lengths(model, tail, lesson), strict=True):
        rate = TAIL_SHARE * step / max(length, 1e-12)
        if not 0 < rate < LARGEST_RATE:
            layer.refuse("its inputs or weights are too near 0 to decide the learning rate")
        rates.append(float(rate))
    return replace(lesson, rates=tuple(rates))


def most_active(model: Graph, tail: Tail, lesson: Lesson) -> tuple[int, ...]:
    """Numbers of the channels of the convolution's output whose sums over references are the largest."""
    (y,) = tail.layers[0].outputs
    learner = Learner(lesson, backward(trainable(model, lesson, tail), tail.dense, lesson, tail))
    learner.load_masters()
    total = np.zeros(y.shape[3], np.int64)
    for sample in lesson.references[:: -(-len(lesson.references) // PROBED)]:
        found = learner.traced(sample, NO_LABEL)[y.name].astype(np.int64) - y.zero_point
        total += np.abs(found).reshape(-1, y.shape[3]).sum(axis=0)
    most = np.argsort(-total, kind="stable")[: max(round(MATTERS * total.size), 1)]
    return tuple(sorted(int(channel) for channel in most))


def _ways(
    model: Graph, tail: Tail, lesson: Lesson, features: NDArray[np.int8], stored: NDArray[np.int8],
    given: NDArray[np.int64], chosen: NDArray[np.int64], core: str,
) -> list[str]:  # fmt: skip
    """What each way of learning would give, for whoever chooses."""
    last = replace(lesson, method="last", hold=0.0, held=())
    dense = replace(
        last, method="classifier", references=features[chosen], sample="", layers=(), rates=()
    )  # fmt: skip
    ways = [Way("classifier", dense, None, features), Way("last", last, tail, stored)]
    ways += [Way("last --learn-hold", replace(lesson, method="last"), tail, stored)] if lesson.hold else []
    found = measure(model, [*ways, Way("lightcl", lesson, tail, stored)], given, core)
    if not found:
        return [
            f"learning: {FEWEST} classes, and two samples of each that are no references, are needed to measure ways"
        ]
    head = f"learning, two classes at a time left out, and learnt from {TAUGHT} samples of each at most"
    return [f"{head}: {each}" for each in found]


def lengths(model: Graph, tail: Tail, lesson: Lesson) -> list[float]:
    """Of each layer of `tail`: the mean squared length of the gradient by its real parameters, over some references.

    Each towards a class that it does not decide, and by the squared length of the gradient at the logits.
    """
    learner = Learner(lesson, backward(trainable(model, lesson, tail), tail.dense, lesson, tail))
    learner.load_masters()
    updates = {op.learns: op for op in learner.step_operators if isinstance(op, ConvUpdate | NormUpdate)}
    found: list[list[float]] = [[] for _ in tail.layers]
    for sample in lesson.references[:: -(-len(lesson.references) // PROBED)]:
        label = (learner.backward(sample, NO_LABEL) + 1) % lesson.known
        values = learner.traced(sample, label)
        slope = values["learn/gradient"].astype(np.float64) / ONE
        for parts, name in zip(found, tail.names, strict=True):
            length = updates[name].squared_length(*(values[tensor.name] for tensor in updates[name].inputs))
            parts.append(length / float((slope**2).sum()))
    return [float(np.mean(parts)) for parts in found]
