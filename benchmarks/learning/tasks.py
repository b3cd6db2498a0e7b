"""What is learnt: a model as compiled, the samples of a draw, and the tests of old and new."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

import ds_cnn_fsdd as words
import logmel
from kept import kept

import driftc
from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import ModelError
from driftc.codegen.graph import Graph
from driftc.codegen.learning.layers import Tail
from driftc.codegen.learning.lesson import Lesson, Means
from driftc.codegen.learning.means import class_means, slope_of
from driftc.codegen.learning.tail import tail_of
from driftc.codegen.learning.trainable import learnable, widened
from driftc.codegen.learning.values import tensor_of
from driftc.codegen.lower import read
from driftc.codegen.passes.border import border
from driftc.codegen.samples import load

Int8 = NDArray[np.int8]
Labels = NDArray[np.int64]
DATA = Path(os.environ.get("DRIFTC_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
NEW_WORDS, SAMPLES = (8, 9), 20
SPOKEN, OTHERS = 3, 250
CORE = "cortex-m4"


@dataclass(frozen=True, eq=False)
class Draw:
    """Features, int8 [n, F], of the samples that are learnt and of two tests; labels are classes."""

    x: Int8
    y: Labels
    old: tuple[Int8, Labels]
    new: tuple[Int8, Labels]
    at: tuple[Labels, Labels, Labels] | None = None  # their numbers among all recordings


@dataclass(frozen=True, eq=False)
class Task:
    """`compiled` with --learn on the labelled `samples`, whose features are `known`; `draws(n)` gives n draws."""

    described: str
    compiled: Compiled
    samples: Path
    known: tuple[Int8, Labels]
    draws: Callable[[int], Iterator[Draw]]
    cuts: Callable[[], Int8] | None = None  # what the tail is learnt from of all recordings

    @cached_property
    def model(self) -> Any:
        return read(self.compiled.model_file, self.compiled.options)[1]

    def layer(self, lesson: Lesson) -> Any:
        """The dense layer that learns, as compiled."""
        return learnable(widened(self.model, lesson.reach))

    @cache  # noqa: B019 - a run has few tasks
    def step_instructions(self, method: str, masters: int = 32) -> int | None:
        """Of a step of --learn `method` on CORE, with `masters` of so many bits; None where it cannot be counted.

        The samples are under each other's labels, so that no known class's row of the gradient is 0.
        """
        with TemporaryDirectory() as folder, np.load(self.samples) as file:
            chosen = np.concatenate([np.flatnonzero(file["y"] == label)[:2] for label in range(self.lesson.known)])
            few = Path(folder) / "few.npz"
            np.savez(few, x=file["x"][chosen], y=file["y"][chosen])
            found = driftc.compile(
                self.compiled.model_file, calibrate=few, learn=method, learn_classes=self.lesson.classes, core=CORE,
                learn_masters=masters, measure=False,
            )  # fmt: skip
            np.savez(few, x=file["x"][chosen], y=(file["y"][chosen] + 1) % self.lesson.known)
            return found.teach(few).step_instructions

    @cached_property
    def lesson(self) -> Lesson:
        """Of --learn classifier."""
        assert self.compiled.lowered.learned is not None
        return self.compiled.lowered.learned.classifier

    @cached_property
    def last_compiled(self) -> Compiled:
        """With --learn last and the same options."""
        return driftc.compile(
            self.compiled.model_file, calibrate=self.samples, learn="last", learn_classes=self.lesson.classes,
            measure=False,
        )  # fmt: skip

    @cached_property
    def last(self) -> Lesson:
        """Of --learn last."""
        assert self.last_compiled.lowered.learned is not None
        return self.last_compiled.lowered.learned.classifier

    @cached_property
    def means(self) -> Means:
        """Of --learn mean with the same options."""
        own = {field.name: getattr(self.lesson, field.name) for field in fields(Lesson)}
        features, labels = self.known
        means = class_means(features, labels, self.lesson.known)
        counts = np.full(self.lesson.known, self.lesson.keep, np.int8)
        own |= {"method": "mean", "rate": 1.0, "passes": 1}
        return Means(**own, means=means, counts=counts, slope=slope_of(features, labels, means))


def quick_tail(model: Graph) -> Tail:
    """On what the last convolution reads, though a device would store inputs; on inputs where it reads several maps."""
    try:
        return tail_of(model, fed=True)
    except ModelError:
        return tail_of(model)


def features(compiled: Compiled, x: NDArray[np.float32], out: Path, cut: bool = False) -> Int8:
    """What the last layer of `compiled` reads of each sample, by the integers; with `cut` what `quick_tail` stores.

    Kept beside the file `out`.
    """
    model = read(compiled.model_file, compiled.options)[1]
    tensor = quick_tail(model).sample if cut else learnable(model).inputs[0]

    def make(path: Path) -> None:
        given = path.with_suffix(".npz")
        np.savez(given, x=x)
        np.save(path, tensor_of(model, tensor, load(given, border(model).inputs).quantized))

    return np.asarray(np.load(kept(out, (model.sha256, tensor.name, x), make)), np.int8)


def _spotter(out: Path, digits: int) -> tuple[Compiled, words.Utterances, tuple[Int8, Labels]]:
    """A keyword spotter of the first `digits` digits, trained once, all recordings, and what it was trained on."""
    every = words.load(DATA / "fsdd" / "fsdd_8k_int16.npz")
    known = words.trained_on(every)
    known = known[known.digit < digits]
    spectra = words.logmel(known.sound)
    np.savez(out / f"known{digits}.npz", x=spectra, y=known.digit)

    def train(path: Path) -> None:
        words.DIGITS = digits
        words.trained(known).save(path)

    path = kept(out / f"spotter{digits}.keras", (words, logmel, known.sound, known.digit), train)
    compiled = driftc.compile(
        path, calibrate=out / f"known{digits}.npz", learn="classifier", learn_classes=10, measure=False
    )
    return compiled, every, (features(compiled, spectra, out / f"known{digits}.npy"), known.digit)


def new_words(out: Path) -> Task:
    """Eight digits and two more; tests are takes held out, of the speakers trained on."""
    compiled, every, known = _spotter(out, 8)
    heard = ~np.isin(every.speaker, words.UNSEEN)
    found = features(compiled, words.logmel(every.sound), out / "words.npy")
    tests, pool = heard & (every.take < words.HELD_OUT), heard & (every.take >= words.HELD_OUT)
    old, new = tests & (every.digit < 8), tests & (every.digit >= 8)

    def draws(count: int) -> Iterator[Draw]:
        for number in range(count):
            random = np.random.default_rng(number)
            picked = [random.permutation(np.flatnonzero(pool & (every.digit == d)))[:SAMPLES] for d in NEW_WORDS]
            chosen = random.permutation(np.concatenate(picked))
            yield Draw(
                found[chosen], every.digit[chosen], (found[old], every.digit[old]), (found[new], every.digit[new]),
                (chosen, np.flatnonzero(old), np.flatnonzero(new)),
            )  # fmt: skip

    def cuts() -> Int8:
        return features(compiled, words.logmel(every.sound), out / "words.cut.npy", cut=True)

    described = f"8 digits learn {len(NEW_WORDS)} more, {SAMPLES} samples each"
    return Task(described, compiled, out / "known8.npz", known, draws, cache(cuts))


def new_speakers(out: Path) -> Task:
    """Ten digits, and a speaker that was not trained on: three samples a digit; old are the others' takes held out."""
    compiled, every, known = _spotter(out, 10)
    found = features(compiled, words.logmel(every.sound), out / "speakers.npy")
    old = ~np.isin(every.speaker, words.UNSEEN) & (every.take < words.HELD_OUT)

    def draws(count: int) -> Iterator[Draw]:
        for speaker in words.UNSEEN:
            own = every.speaker == speaker
            for number in range(count):
                random = np.random.default_rng(number)
                picked = [random.permutation(np.flatnonzero(own & (every.digit == d)))[:SPOKEN] for d in range(10)]
                chosen = random.permutation(np.concatenate(picked))
                rest = random.permutation(np.setdiff1d(np.flatnonzero(own), chosen))[:OTHERS]
                yield Draw(
                    found[chosen], every.digit[chosen], (found[old], every.digit[old]),
                    (found[rest], every.digit[rest]), (chosen, np.flatnonzero(old), rest),
                )  # fmt: skip

    def cuts() -> Int8:
        return features(compiled, words.logmel(every.sound), out / "speakers.cut.npy", cut=True)

    described = f"a new speaker, {SPOKEN} samples a digit; old: other speakers"
    return Task(described, compiled, out / "known10.npz", known, draws, cache(cuts))
