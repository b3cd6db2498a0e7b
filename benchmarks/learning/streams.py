"""Streams of corrupted images, learnt from without labels: ResNet-8 with live layers, --learn ecotta.

What lies before the pool does not learn, so its sums are taken once, from the C on this machine, and each stream is
learnt from them by what NAME_adapt.c does, in NumPy: the device's integers, which `checked` holds to the specification.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).resolve().parents[1] / "robustness"))

import images

import driftc
from driftc.codegen.errors import UsageError
from driftc.codegen.learning.ecotta import MetaLearner
from driftc.codegen.learning.learned import Learned
from driftc.codegen.lower import lower
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.learn.meta import MetaAffine, PoolFinish
from driftc.codegen.samples import load
from driftc.simulator.engines import engine
from driftc.simulator.learning import Event, Kind, MetaSpecification, run

STREAMED = ("fog", "pixelate", "contrast", "glass_blur", "impulse_noise", "gaussian_noise")
SEVERITY, IN_A_ROW, CALIBRATION, CHECKED = 5, 50, 500, 6
LONG = 20_000
RATES = (1e-3, 2e-3, 4e-3)
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Set:
    """Samples as the frozen network has them in front of the pool's rounding: sums [n, F]; labels."""

    sums: NDArray[Any]
    labels: Labels

    def __getitem__(self, order: Labels) -> Set:
        return Set(self.sums[order], self.labels[order])


@dataclass(frozen=True, eq=False)
class Score:
    """Of one stream: decided right, sample by sample; learnt from; and frozen afterwards, on the clean images."""

    right: NDArray[np.bool_]
    learnt: int
    clean: NDArray[np.bool_]


class Network:
    """The compiled model, and what follows its pool."""

    def __init__(self, out: Path) -> None:
        place = out / "resnet8"
        if not place.is_dir():
            task = images.load(images.resnet8(out), "dev", 1)
            np.savez(out / "calibration.npz", x=task.calibration[:CALIBRATION])
            how: dict[str, Any] = {"adapt": "calibrated", "augment": "image", "learn": "ecotta", "measure": False}
            driftc.compile(task.model, calibrate=out / "calibration.npz", name="model", planner="greedy", **how).write(
                place
            )
        self.compiled = driftc.Compiled.load(place)
        self.out = out
        self._rates: dict[float, Learned] = {}

    @cached_property
    def _behind(self) -> tuple[MetaAffine, PoolFinish, FullyConnected]:
        operators = self.compiled.lowered.graph.operators
        affine = next(op for op in operators if isinstance(op, MetaAffine))
        finish = next(op for op in operators if isinstance(op, PoolFinish))
        return affine, finish, next(op for op in operators if isinstance(op, FullyConnected))

    def _learned(self, rate: float) -> Learned:
        """As it would be compiled with another --learn-rate."""
        lowered = self.compiled.lowered
        assert lowered.learned is not None
        lesson = replace(lowered.learned.lesson, rate=rate)
        model, adaptation = self.compiled.model_file, lowered.adaptation
        found = lower(model, self.compiled.options, title="model", adaptation=adaptation, lesson=lesson).learned
        assert found is not None
        return found

    def learner(self, rate: float) -> MetaLearner:
        if rate not in self._rates:
            self._rates[rate] = self._learned(rate)
        return self._rates[rate].meta_learner()

    def logits(self, sums: NDArray[Any], learner: MetaLearner) -> NDArray[Any]:
        """int8 [1, C] of sums [1, F]."""
        affine, finish, dense = self._behind
        (moved,) = affine.spec(sums, learner.values["gains"], learner.values["offsets"])
        (pooled,) = finish.spec(moved)
        (found,) = dense.spec(pooled.reshape(dense.inputs[0].shape))
        return np.asarray(found, np.int8).reshape(1, -1)

    def sums(self, name: str, x: NDArray[np.uint8], labels: Labels) -> Set:
        """Kept in the folder, as the C of this machine left them in the state."""
        path = self.out / f"{name}_{len(x)}.npy"
        if not path.is_file():
            np.savez(self.out / "asked.npz", x=x)
            lowered = self.compiled.lowered
            given = load(self.out / "asked.npz", lowered.graph.inputs).quantized
            events = [Event(Kind.INFER, 0, sample) for sample in given]
            found = run(engine("host"), self.compiled.program(), lowered, events)
            np.save(path, np.concatenate([outcome.states["sums"] for outcome, _ in found]))
        return Set(np.load(path), labels)

    def checked(self, x: NDArray[np.uint8], found: Set) -> None:
        """That learning from the sums leaves the states of the whole specification. Raises UsageError where not."""
        np.savez(self.out / "asked.npz", x=x[:CHECKED])
        lowered = self.compiled.lowered
        whole, learner = MetaSpecification(lowered), lowered.learned.meta_learner()  # type: ignore[union-attr]
        for n, sample in enumerate(load(self.out / "asked.npz", lowered.graph.inputs).quantized):
            expected = whole(Event(Kind.ADD, 0, sample)).states
            learner.infer(sums=found.sums[n : n + 1], logits=self.logits(found.sums[n : n + 1], learner))
            learner.adapt()
            for name, value in expected.items():
                if not np.array_equal(value, learner.values[name]):
                    raise UsageError(f"sample {n}: {name} of the stored sums are not the specification's")

    def stream(self, given: Set, rate: float, clean: Set) -> Score:
        """Decide each sample, then learn from it; a rate of 0 does not learn."""
        learner = self.learner(rate or RATES[0])
        right, learnt = [], 0
        for n, label in enumerate(given.labels):
            logits = self.logits(given.sums[n : n + 1], learner)
            right.append(int(np.argmax(logits)) == label)
            if rate:
                learner.infer(sums=given.sums[n : n + 1], logits=logits)
                learnt += learner.adapt()
        return Score(np.array(right), learnt, self.decided(clean, learner) == clean.labels)

    def decided(self, given: Set, learner: MetaLearner) -> Labels:
        rows = range(len(given.labels))
        return np.array([int(np.argmax(self.logits(given.sums[n : n + 1], learner))) for n in rows])


def orders(labels: Labels, kinds: int, draws: int) -> Iterator[tuple[str, Labels]]:
    """Of samples that lie kind by kind, `draws` times each.

    random: one kind after the other, in random order; blocks: one kind after the other, in blocks of 50 of a class;
    shuffled: the kinds too, at random. And long, once: 20,000 shuffled samples, each several times.
    """
    for draw in range(draws):
        random = np.random.default_rng(draw)
        parts = [random.permutation(part) for part in np.split(np.arange(len(labels)), kinds)]
        yield "random", np.concatenate(parts)
        yield "blocks", np.concatenate([_in_blocks(part, labels, random) for part in parts])
        yield "shuffled", random.permutation(len(labels))
    random = np.random.default_rng(draws)
    passes = -(-LONG // len(labels))
    yield "long", np.concatenate([random.permutation(len(labels)) for _ in range(passes)])[:LONG]


def _in_blocks(part: Labels, labels: Labels, random: np.random.Generator) -> Labels:
    blocks = []
    for label in np.unique(labels):
        of = part[labels[part] == label]
        blocks += [of[first : first + IN_A_ROW] for first in range(0, len(of), IN_A_ROW)]
    return np.concatenate([blocks[n] for n in random.permutation(len(blocks))])


def run_streams(out: Path, count: int, draws: int) -> list[tuple[str, ...]]:
    """A row for each order and rate. Gains are paired: by sample, then over draws.

    `clean` and `sorted` are streams of the clean images, at random and one class after the other.
    """
    network = Network(out)
    task = images.load(images.resnet8(out), "table", count)
    labels = task.clean["jpeg"][1]
    kinds = []
    for kind in STREAMED:
        kept = out / f"{kind}_{count}.npy"
        x = np.zeros((count, 0), np.uint8) if kept.is_file() else task.shifted(kind, SEVERITY)
        kinds.append(network.sums(kind, x, labels))
    clean = network.sums("jpeg", *task.clean["jpeg"])
    network.checked(task.clean["jpeg"][0], clean)
    whole = Set(np.concatenate([kind.sums for kind in kinds]), np.tile(labels, len(kinds)))
    rows: dict[tuple[str, float], list[Score]] = {}
    streams = [(name, whole[order]) for name, order in orders(whole.labels, len(kinds), draws)]
    for draw in range(draws):
        mixed = np.random.default_rng(draw).permutation(count)
        streams += [("clean", clean[mixed]), ("sorted", clean[mixed[np.argsort(labels[mixed], kind="stable")]])]
    for name, given in streams:
        for rate in (0.0, *RATES):
            rows.setdefault((name, rate), []).append(network.stream(given, rate, clean))
    lines = []
    for (name, rate), scores in rows.items():
        before = rows[name, 0.0]
        gains = [after.right.mean() - plain.right.mean() for after, plain in zip(scores, before, strict=True)]
        cleaner = [after.clean.mean() - plain.clean.mean() for after, plain in zip(scores, before, strict=True)]
        quarters = [np.array_split(score.right, 4) for score in scores]
        lines.append(
            (
                name,
                f"ecotta {rate:g}" if rate else "calibrated",
                f"{100 * np.mean([score.right.mean() for score in scores]):.1f}",
                paired(gains, [a.right.astype(int) - b.right for a, b in zip(scores, before, strict=True)]),
                f"{100 * np.mean([score.learnt / len(score.right) for score in scores]):.0f}",
                f"{100 * np.mean([score.clean.mean() for score in scores]):.1f}",
                paired(cleaner, [a.clean.astype(int) - b.clean for a, b in zip(scores, before, strict=True)]),
                f"{100 * np.mean([part[0].mean() for part in quarters]):.1f}",
                f"{100 * np.mean([part[-1].mean() for part in quarters]):.1f}",
            )
        )
    return lines


def paired(gains: Sequence[float], differences: Sequence[NDArray[Any]]) -> str:
    """Mean over draws, and the standard error of one draw's: the draws have their samples in common."""
    errors = [float(found.std(ddof=1)) / np.sqrt(len(found)) for found in differences]
    return f"{100 * np.mean(gains):+.1f} +- {100 * np.mean(errors):.1f}"


COLUMNS = ("order", "row", "right", "gain", "learnt %", "clean", "clean gain", "first quarter", "last quarter")
