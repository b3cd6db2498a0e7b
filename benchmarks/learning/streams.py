"""Streams of corrupted images, learnt from without labels: a network with live layers, --learn ecotta.

Kinds come one after the other, 500 of each, as the study of the method has its `continual` streams; their classes in
random order or in blocks of 50. Beside it the kinds shuffled, clean images, and samples that nobody meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from network import Device, Images, Labels, Network, Set, images
from numpy.typing import NDArray

from driftc.codegen.learning.ecotta import ENTROPY
from driftc.codegen.operators.learn.entropy import BALANCE, LEAST, MIXED

STREAMED = ("fog", "pixelate", "contrast", "glass_blur", "impulse_noise", "gaussian_noise")
SEVERITY, IN_A_ROW, CLEAN_IN_A_ROW = 5, 50, 100
LONG, HOSTILE = 20_000, 0.1
COLUMNS = (
    "order", "row", "right", "error reduction", "gain", "learnt %", "clean", "clean gain", "first quarter",
    "last quarter",
)  # fmt: skip


class Learner(Protocol):
    """Decides a sample, and then learns from it: 1 where it did."""

    def decide(self, given: Set, n: int) -> int: ...

    def learn(self) -> int: ...


class Still:
    """The network with live layers, which learns nothing."""

    def __init__(self, network: Network) -> None:
        self.device = Device(network, 0.002, 0)

    def decide(self, given: Set, n: int) -> int:
        return self.device.decide(given, n)

    def learn(self) -> int:
        return 0


class InFloat:
    """What follows the sums in float64, but for the dequantised weights: as the device learns, or by another loss."""

    def __init__(
        self, network: Network, rate: float, hold: float, balance: float = BALANCE, gated: bool = True
    ) -> None:
        """`gated`: samples that are uncertain, or among too many of one class, teach nothing."""
        dense, pool = network.place.dense, network.place.pool
        assert dense.weights.data is not None
        rows = np.broadcast_to(dense.quantization.scale.astype(np.float64), (dense.channels,))
        self.weights = dense.weights.data * rows[:, None]
        self.bias = dense.raw_bias * rows * float(dense.inputs[0].scale)
        self.unit = float(pool.inputs[0].scale) / network.place.pixels
        self.rate, self.hold, self.balance, self.gated = rate, hold, balance, gated
        classes, features = self.weights.shape
        self.a, self.b = np.ones(features), np.zeros(features)
        self.mean, self.share = np.full(classes, 1 / classes), np.full(classes, 1 / classes)

    def decide(self, given: Set, n: int) -> int:
        self.f = given.sums[n] * self.unit
        self.z = self.weights @ (self.a * self.f + self.b) + self.bias
        return int(np.argmax(self.z))

    def learn(self) -> int:
        classes, features = self.weights.shape
        x = self.z.max() - self.z
        p = np.exp(-x)
        p /= p.sum()
        most = self.share.max()
        self.share += ((np.arange(classes) == np.argmax(self.z)) - self.share) / 20
        middle = p @ x
        entropy = middle + np.log(np.exp(-x).sum())
        logs = np.log(self.mean + LEAST / 32768)
        g = p * (x - middle) + self.balance * p * (logs - p @ logs)
        self.mean += (p - self.mean) / 50
        if self.gated and (most >= MIXED / 32768 or entropy >= ENTROPY * np.log(classes)):
            return 0
        through = self.weights.T @ g
        side = self.hold / features * np.sign((self.a - 1) * self.f + self.b)
        self.a = np.clip(self.a - self.rate * (through + side) * self.f, -2, 2)
        self.b = np.clip(self.b - self.rate * (through + side), -2, 2)
        return 1


ROWS: dict[str, Callable[[Network], Learner]] = {
    "calibrated": Still,
    "ecotta 0.001": lambda network: Device(network, 0.001, 0),
    "ecotta 0.002": lambda network: Device(network, 0.002, 0),
    "ecotta 0.004": lambda network: Device(network, 0.004, 0),
    "ecotta 0.01": lambda network: Device(network, 0.01, 0),
    "ecotta 0.002, no L1": lambda network: Device(network, 0.002, 0, held=False),
    "ecotta 0.002 in float": lambda network: InFloat(network, 0.002, 8.0),
    "0.002 in float, L1 of 0.5, no balance": lambda network: InFloat(network, 0.002, 0.5, 0.0),
    "as TENT in float, 0.0001": lambda network: InFloat(network, 1e-4, 0.0, 0.0, gated=False),
    "as TENT in float, 0.002": lambda network: InFloat(network, 0.002, 0.0, 0.0, gated=False),
    "running 2^-6 alone": lambda network: Device(network, 0, 6),
    "running 2^-7 alone": lambda network: Device(network, 0, 7),
    "ecotta 0.002, running 2^-7": lambda network: Device(network, 0.002, 7),
}


@dataclass(frozen=True, eq=False)
class Score:
    """Of one stream: decided right, sample by sample; the share learnt from; and frozen afterwards, on clean images."""

    right: NDArray[np.bool_]
    learnt: float
    clean: NDArray[np.bool_]


def streamed(learner: Learner, given: Set, clean: Set) -> Score:
    decided, learnt = [], 0
    for n in range(len(given.labels)):
        decided.append(learner.decide(given, n))
        learnt += learner.learn()
    after = np.array([learner.decide(clean, n) for n in range(len(clean.labels))])
    right = (np.array(decided) == given.labels)[given.labels >= 0]
    return Score(right, learnt / len(given.labels), after == clean.labels)


def in_blocks(part: Labels, labels: Labels, random: np.random.Generator, size: int) -> Labels:
    """The samples `part`, `size` of a class in a row, the blocks at random."""
    blocks = []
    for label in np.unique(labels[part]):
        of = random.permutation(part[labels[part] == label])
        blocks += [of[first : first + size] for first in range(0, len(of), size)]
    return np.concatenate([blocks[n] for n in random.permutation(len(blocks))])


def orders(labels: Labels, kinds: int, draws: int) -> Iterator[tuple[str, Labels]]:
    """Of samples that lie kind by kind, `draws` times each, by their numbers.

    random: one kind after the other, in random order; blocks: one kind after the other, in blocks of 50 of a class;
    shuffled: the kinds too, at random; shuffled blocks: the kinds at random, in blocks of 50 of a class.
    """
    for draw in range(draws):
        random = np.random.default_rng(draw)
        parts = np.split(np.arange(len(labels)), kinds)
        yield "random", np.concatenate([random.permutation(part) for part in parts])
        yield "blocks", np.concatenate([in_blocks(part, labels, random, IN_A_ROW) for part in parts])
        yield "shuffled", random.permutation(len(labels))
        yield "shuffled blocks", in_blocks(np.arange(len(labels)), labels, random, IN_A_ROW)


def hostile(count: int, shape: tuple[int, ...]) -> Images:
    """A third each: of one colour, black or white in halves, and noise."""
    random = np.random.default_rng(0)
    part = -(-count // 3)
    constant = np.broadcast_to(random.integers(0, 256, (part, 1, 1, 1)), (part, *shape))
    saturated = np.where(np.arange(part)[:, None, None, None] % 2, 255, 0) * np.ones((1, *shape), np.int64)
    return np.concatenate([constant, saturated, random.integers(0, 256, (part, *shape))])[:count].astype(np.uint8)


def every_stream(network: Network, count: int, draws: int, long: bool) -> tuple[list[tuple[str, Set]], Set]:
    """The streams by name, and the clean images; with `long` those of LONG samples, too."""
    whole = images.load(network.path, "table", 2 * count)
    x, labels = whole.clean["jpeg"]
    task = images.load(network.path, "table", count)

    kinds = Set.of([network.seen(kind, task.shifted(kind, SEVERITY), labels[:count]) for kind in STREAMED])
    clean = network.seen("jpeg", x, labels)
    lossless = network.seen("lossless", *(found[: 2 * count] for found in whole.clean["lossless"]))
    network.checked(x, clean)
    streams = [(name, kinds[order]) for name, order in orders(kinds.labels, len(STREAMED), draws)]
    for draw in range(draws):
        random = np.random.default_rng(draw)
        for name, given in (("jpeg", clean), ("lossless", lossless)):
            every = np.arange(len(given.labels))
            streams.append((f"clean {name}", given[random.permutation(every)]))
            streams.append((f"clean {name} blocks", given[in_blocks(every, given.labels, random, CLEAN_IN_A_ROW)]))
    if not long:
        return streams, clean
    random = np.random.default_rng(draws)
    passes = -(-LONG // len(kinds.labels))
    long = np.concatenate([random.permutation(len(kinds.labels)) for _ in range(passes)])[:LONG]
    streams.append(("long", kinds[long]))
    foes = network.seen("hostile", hostile(count, x.shape[1:]), np.full(count, -1))
    among = np.concatenate([long, len(kinds.labels) + random.integers(0, count, int(HOSTILE * LONG))])
    mixed = np.insert(long, random.integers(0, LONG, len(among) - LONG), among[LONG:])
    streams.append(("long, hostile", Set.of([kinds, foes])[mixed]))
    return streams, clean


def run_streams(name: str, out: Path, count: int, draws: int) -> list[tuple[str, ...]]:
    """A line for each order and row. Gains on `calibrated` are paired: by sample, then over draws."""
    network = Network(name, out)
    streams, clean = every_stream(network, count, draws, long=name == "resnet8")
    scores: dict[tuple[str, str], list[Score]] = {}
    sources: dict[str, list[float]] = {}
    for order, given in streams:
        scored = given.labels >= 0
        sources.setdefault(order, []).append(float((given.source == given.labels)[scored].mean()))
        for row, made in ROWS.items():
            scores.setdefault((order, row), []).append(streamed(made(network), given, clean))
    plot(scores, out / f"{name}.svg")
    lines: list[tuple[str, ...]] = []
    for (order, row), found in scores.items():
        if row == "calibrated":
            lines.append((order, "none", percent(sources[order]), *[""] * 7))
        lines.append((order, row, *_told(found, scores[order, "calibrated"], float(np.mean(sources[order])))))
    return lines


def _told(found: list[Score], before: list[Score], source: float) -> tuple[str, ...]:
    pairs = list(zip(found, before, strict=True))
    right = float(np.mean([score.right.mean() for score in found]))
    quarters = [np.array_split(score.right, 4) for score in found]
    return (
        percent([right]),
        f"{100 * (1 - (1 - right) / (1 - source)):.1f}",
        paired([after.right.astype(int) - plain.right for after, plain in pairs]),
        percent([score.learnt for score in found]),
        percent([float(score.clean.mean()) for score in found]),
        paired([after.clean.astype(int) - plain.clean for after, plain in pairs]),
        percent([float(part[0].mean()) for part in quarters]),
        percent([float(part[-1].mean()) for part in quarters]),
    )


def percent(values: Sequence[float]) -> str:
    """Mean of shares."""
    return f"{100 * np.mean(values):.1f}"


def paired(differences: Sequence[NDArray[Any]]) -> str:
    """Mean over draws, and the standard error of one draw's: the draws have their samples in common."""
    errors = [float(found.std(ddof=1)) / np.sqrt(len(found)) for found in differences]
    return f"{100 * np.mean([found.mean() for found in differences]):+.1f} +- {100 * np.mean(errors):.1f}"


def plot(scores: dict[tuple[str, str], list[Score]], path: Path) -> None:
    """Accuracy along the streams that come kind by kind."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4), sharey=True)
    for axis, order in zip(axes, ("random", "blocks"), strict=True):
        for row in ("calibrated", "ecotta 0.002", "ecotta 0.01", "running 2^-7 alone"):
            parts = [np.array_split(score.right, 24) for score in scores[order, row]]
            means = np.mean([[part.mean() for part in of] for of in parts], axis=0)
            count = len(scores[order, row][0].right)
            axis.plot((np.arange(len(means)) + 0.5) * count / len(means), 100 * means, label=row)
        axis.set(title=", ".join(STREAMED) if order == "random" else "in blocks of 50 of a class", xlabel="sample")
    axes[0].set(ylabel="right, %")
    axes[0].title.set_size("small")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
