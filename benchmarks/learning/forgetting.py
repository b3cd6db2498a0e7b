"""LightCL where it was published: tasks of a few classes one after another, each decided among its own classes.

A ResNet-8 in float is trained on the first task alone, and then on one task after the other, whose classes it has not
seen. Rows fine-tune the whole network, its last block or its dense layer by the cross-entropy of the new task's logits,
or do as LightCL (ASP-DAC 2025, and its code): all but the last block frozen, and HOLD times the summed squared
distance, on the first 15 samples of the new task, of logits and of those channels of the block's two maps that were
among the 15 % with the largest sums in an earlier task, from what they were before the task.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kept import kept
from network import images as robustness
from numpy.typing import NDArray
from objects import images
from published import ResNet8
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 10
SPLITS = {"5 tasks of 2": 2}  # classes of a task
FIRST, EACH, TESTED = 400, 200, 200  # images of a class: in the first task, in later ones, tested
FIRST_EPOCHS, EPOCHS, BATCH, FIRST_RATE = 12, 10, 32, 2e-3
REFERENCES, MATTERS, HOLD = 15, 0.15, 2e-4
COLUMNS = ("tasks", "row", "new", "old", "forgotten", "all classes at once", "of them old", "of them new")
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    name: str
    trained: str  # network, block or dense
    rate: float = 0.01
    hold: float = 0.0


ROWS = (
    Row("fine-tuning, the whole network", "network"),
    Row("fine-tuning, the last block", "block"),
    Row("fine-tuning, the last block, rate 0.003", "block", 0.003),
    Row("fine-tuning, the last block, rate 0.001", "block", 0.001),
    Row("fine-tuning, the dense layer", "dense"),
    Row("LightCL as published", "block", hold=HOLD),
    Row("LightCL, held 10 times as much", "block", hold=10 * HOLD),
)


class Network(nn.Module):
    """ResNet-8 as its frozen part and the last block, whose maps it gives."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.inner = ResNet8(path)
        for module in self.inner.modules():
            if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
                module.reset_parameters()

    def frozen(self, x: Tensor) -> Tensor:
        x = self.inner.stem(x)
        return self.inner.part(1, self.inner.part(0, x))

    def block(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, and the block's two maps."""
        found: Any = self.inner.parts[2]
        first = found["inner"][:3](x)
        second = F.relu(found["inner"][3:](first) + found["beside"](x))
        return self.inner.dense(second.mean(dim=(2, 3))), first, second

    def forward(self, x: Tensor) -> Tensor:
        return self.block(self.frozen(x))[0]


@dataclass(frozen=True)
class Split:
    """Images and labels of each task, in the order of a draw; labels are those of the network's rows."""

    classes: tuple[range, ...]
    train: list[tuple[Tensor, Tensor]]
    test: list[tuple[Tensor, Tensor]]


def split(each: int, draw: int) -> Split:
    order = np.random.default_rng(draw).permutation(CLASSES)
    tasks = tuple(range(first, first + each) for first in range(0, CLASSES, each))

    def of(name: str, count: int, task: range) -> tuple[Tensor, Tensor]:
        parts = [images(name, count, range(order[k], order[k] + 1))[0] for k in task]
        random = np.random.default_rng(draw).permutation(count * len(task))
        x = torch.tensor(np.concatenate(parts)[random]).permute(0, 3, 1, 2).float()
        return x.contiguous(), torch.tensor(np.repeat(list(task), count)[random])

    train = [of("train", EACH if n else FIRST, task) for n, task in enumerate(tasks)]
    return Split(tasks, train, [of("test", TESTED, task) for task in tasks])


def first_task(path: Path, x: Tensor, y: Tensor, classes: range, seed: int) -> Network:
    """Trained on it alone, each image mirrored or not."""
    torch.manual_seed(seed)
    network = Network(path)
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), FIRST_RATE)
    steps = FIRST_EPOCHS * -(-len(y) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for some in batches(len(y), FIRST_EPOCHS, seed):
        given = torch.where(torch.rand(len(some), 1, 1, 1) < 0.5, x[some], x[some].flip(3))
        loss = F.cross_entropy(network(given)[:, classes.start : classes.stop], y[some] - classes.start)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return network


def batches(count: int, epochs: int, seed: int) -> Iterator[Tensor]:
    random = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        yield from torch.split(torch.randperm(count, generator=random), BATCH)


@contextmanager
def evaluated(*modules: nn.Module) -> Iterator[None]:
    """Normalisations by the statistics of what was trained on."""
    before = [module.training for module in modules]
    for module in modules:
        module.eval()
    yield
    for module, was in zip(modules, before, strict=True):
        module.train(was)


def learnt(network: Network, row: Row, given: Split, draw: int) -> Scores:
    """By the logits of its task, how many of each task are right once a task is learnt: [learnt, task]. In a last line
    by all logits at the end."""
    network.eval()
    train = {"network": network.inner, "block": network.inner.parts[2], "dense": network.inner.dense}[row.trained]
    network.requires_grad_(False)
    train.requires_grad_(True)
    network.inner.dense.requires_grad_(True)
    whole = row.trained == "network"
    run: Callable[[Tensor], Tensor] = network if whole else lambda x: network.block(x)[0]
    sets = [(given.train[n], given.test[n]) for n in range(len(given.classes))]
    if not whole:
        sets = [tuple((_through(network, x), y) for x, y in pair) for pair in sets]  # type: ignore[misc]
    scores = [_scores(run, sets, given.classes)]
    matters: list[Tensor] = [torch.zeros(0), torch.zeros(0)]
    for task in range(1, len(sets)):
        (x, y), classes = sets[task][0], given.classes[task]
        before = copy.deepcopy(network)
        if row.hold:
            matters = _matter(before, sets[task - 1][0][0], matters)
        optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], row.rate)
        with torch.no_grad():
            targets = before.block(x[:REFERENCES]) if row.hold else ()
        network.eval()
        if row.trained != "dense":
            train.train()
        for some in batches(len(y), EPOCHS, draw):
            loss = F.cross_entropy(run(x[some])[:, classes.start : classes.stop], y[some] - classes.start)
            if row.hold:
                with evaluated(train):
                    loss = loss + row.hold * _away(network.block(x[:REFERENCES]), targets, matters)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        network.eval()
        scores.append(_scores(run, sets, given.classes))
    return np.array([*scores, _scores(run, sets, (range(CLASSES),) * len(sets))])


def _through(network: Network, x: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([network.frozen(part) for part in torch.split(x, 200)])


def _matter(network: Network, x: Tensor, known: list[Tensor]) -> list[Tensor]:
    """Of each map: which channels have the largest sums in this task, or had in one before."""
    with torch.no_grad():
        totals = [torch.zeros(()), torch.zeros(())]
        for part in torch.split(x, 200):
            totals = [a + b.abs().sum(dim=(0, 2, 3)) for a, b in zip(totals, network.block(part)[1:], strict=True)]
    most = [total.argsort(descending=True)[: round(MATTERS * len(total))] for total in totals]
    return [torch.unique(torch.cat([old, new]).long()) for old, new in zip(known, most, strict=True)]


def _away(found: Sequence[Tensor], targets: Sequence[Tensor], matters: Sequence[Tensor]) -> Tensor:
    logits, *maps = ((a - b) ** 2 for a, b in zip(found, targets, strict=True))
    return logits.sum() + sum((apart[:, own].sum() for apart, own in zip(maps, matters, strict=True)), torch.zeros(()))


def _scores(run: Callable[[Tensor], Tensor], sets: Sequence[Any], classes: Sequence[range]) -> list[float]:
    found = []
    with torch.no_grad():
        for (_, (x, y)), own in zip(sets, classes, strict=True):
            logits = torch.cat([run(part)[:, own.start : own.stop] for part in torch.split(x, 200)])
            found.append(float((logits.argmax(1) + own.start == y).double().mean()))
    return found


def run_split(out: Path, draws: int, spread: Callable[[Sequence[float]], str]) -> list[tuple[str, ...]]:
    """A line for each split and row; a draw is an order of classes, another first network and other batches."""
    torch.set_num_threads(1)
    shape, lines = robustness.resnet8(out), []
    code = Path(__file__)
    for title, each in SPLITS.items():
        scores: dict[str, list[Scores]] = {row.name: [] for row in ROWS}
        for draw in range(draws):
            given = split(each, draw)
            x, y = given.train[0]
            first = kept(
                out / "split" / "first.pt",
                (first_task, Network, shape, each, draw, FIRST, FIRST_EPOCHS, BATCH, FIRST_RATE),
                lambda to, x=x, y=y, own=given.classes[0], seed=draw: torch.save(
                    first_task(shape, x, y, own, seed).state_dict(), to
                ),
            )
            for row in ROWS:
                network = Network(shape)
                network.load_state_dict(torch.load(first))
                path = kept(
                    out / "split" / "scores.npy", (code, first, each, draw, row),
                    lambda to, network=network, row=row, given=given, draw=draw: np.save(
                        to, learnt(network, row, given, draw)
                    ),
                )  # fmt: skip
                scores[row.name].append(np.load(path))
        lines += [(title, name, *map(spread, zip(*map(told, found), strict=True))) for name, found in scores.items()]
    return lines


def told(scores: Scores) -> tuple[float, ...]:
    """Right once learnt, mean of later tasks; right at the end, mean of tasks before the last; what these lost since
    they were learnt; and by all logits at the end: all tasks, those before the last, the last."""
    by_task, at_once = scores[:-1], scores[-1]
    just = np.diag(by_task)
    new, old = just[1:].mean(), by_task[-1, :-1].mean()
    return new, old, (just[:-1] - by_task[-1, :-1]).mean(), at_once.mean(), at_once[:-1].mean(), at_once[-1]
