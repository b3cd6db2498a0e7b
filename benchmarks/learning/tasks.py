"""What is learnt: a model as compiled, the samples of a draw, and the tests of old and new."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

import ds_cnn_fsdd as words

import driftc
from driftc.codegen.compiled import Compiled
from driftc.codegen.learning.teaching import features_of
from driftc.codegen.learning.trainable import learnable
from driftc.codegen.lower import read
from driftc.codegen.passes.border import border
from driftc.codegen.samples import load

Int8 = NDArray[np.int8]
Labels = NDArray[np.int64]
DATA = Path(os.environ.get("DRIFTC_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
NEW_WORDS, SAMPLES = (8, 9), 20
SPOKEN, OTHERS = 3, 250


@dataclass(frozen=True, eq=False)
class Draw:
    """Features, int8 [n, F], of the samples that are learnt and of two tests; labels are classes."""

    x: Int8
    y: Labels
    old: tuple[Int8, Labels]
    new: tuple[Int8, Labels]


@dataclass(frozen=True, eq=False)
class Task:
    """`compiled` with --learn; `draw(n)` gives the samples of draw n."""

    described: str
    compiled: Compiled
    draws: Callable[[int], Iterator[Draw]]

    @cached_property
    def layer(self) -> Any:
        """The dense layer that learns, as compiled."""
        return learnable(self.model)

    @cached_property
    def model(self) -> Any:
        return read(self.compiled.model_file, self.compiled.options)[1]


def features(compiled: Compiled, x: NDArray[np.float32], out: Path) -> Int8:
    """What the last layer of `compiled` reads of each sample, by the integers; kept in the file `out`."""
    if not out.is_file():
        model = read(compiled.model_file, compiled.options)[1]
        np.savez(out.with_suffix(".input.npz"), x=x)
        samples = load(out.with_suffix(".input.npz"), border(model).inputs)
        np.save(out, features_of(model, learnable(model), samples.quantized))
        out.with_suffix(".input.npz").unlink()
    return np.asarray(np.load(out), np.int8)


def _spotter(out: Path, digits: int) -> tuple[Compiled, words.Utterances]:
    """A keyword spotter of the first `digits` digits, trained once, and all recordings."""
    every = words.load(DATA / "fsdd" / "fsdd_8k_int16.npz")
    path, known = out / f"spotter{digits}.keras", words.trained_on(every)
    known = known[known.digit < digits]
    np.savez(out / f"known{digits}.npz", x=words.logmel(known.sound), y=known.digit)
    if not path.is_file():
        words.DIGITS = digits
        words.trained(known).save(path)
    compiled = driftc.compile(
        path, calibrate=out / f"known{digits}.npz", learn="classifier", learn_classes=10, measure=False
    )
    return compiled, every


def new_words(out: Path) -> Task:
    """Eight digits and two more; tests are takes held out, of the speakers trained on."""
    compiled, every = _spotter(out, 8)
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
                found[chosen], every.digit[chosen], (found[old], every.digit[old]), (found[new], every.digit[new])
            )

    return Task(f"8 digits learn {len(NEW_WORDS)} more, {SAMPLES} samples each", compiled, draws)


def new_speakers(out: Path) -> Task:
    """Ten digits, and a speaker that was not trained on: three samples a digit; old are the others' takes held out."""
    compiled, every = _spotter(out, 10)
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
                    found[chosen], every.digit[chosen], (found[old], every.digit[old]), (found[rest], every.digit[rest])
                )

    return Task(f"a new speaker, {SPOKEN} samples a digit; old: other speakers", compiled, draws)


TASKS: dict[str, Callable[[Path], Task]] = {"words": new_words, "speakers": new_speakers}
