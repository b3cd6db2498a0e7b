"""Rows of the learning table on a small model: each is what it says, and what the device does is the device's."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmark_modules import benchmark_module
from float_models import needs
from learning_models import convolving, images, learning, learning_last, samples
from learnt import events

from driftc.codegen.learning.trainable import learnable
from driftc.codegen.learning.values import tensor_of
from driftc.codegen.lower import read
from driftc.codegen.passes.border import border
from driftc.codegen.samples import load
from driftc.simulator.learning import MANY, Event, Kind, Specification

pytestmark = needs("scipy", "benchmarks")


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    with benchmark_module(monkeypatch, "rows", "learning") as found:
        yield found


def features(folder: Path, given: dict[str, Any]) -> tuple[Any, Any]:
    model = read(folder / "net.tflite", learning(folder).options)[1]
    np.savez(folder / "some.npz", **given)
    found = load(folder / "some.npz", border(model).inputs)
    return tensor_of(model, learnable(model).inputs[0], found.quantized), given["y"]


def task(folder: Path, method: str = "classifier") -> Any:
    """The small model learns two classes more, sixteen samples; tests are of both."""
    tasks = import_module("tasks")
    compiled = learning(folder, learn=method)
    known, new = features(folder, samples(60, 4)), features(folder, samples(16, 2, first=4))
    old_test, new_test = features(folder, samples(40, 4, seed=9)), features(folder, samples(20, 2, seed=9, first=4))

    def draws(count: int) -> Iterator[Any]:
        for _ in range(count):
            yield tasks.Draw(*new, old_test, new_test)

    return tasks.Task("small", compiled, folder / "known.npz", known, draws)


@pytest.mark.parametrize("method", ["classifier", "mean"])
def test_rows_of_the_device_are_the_devices(benchmark: Any, tmp_path: Path, method: str) -> None:
    found = task(tmp_path)
    (draw,) = found.draws(1)
    scores = benchmark.ROWS[method].scores(found, draw)
    specification = Specification(learning(tmp_path, learn=method).lowered)
    for event in [*events(16, 2, 4), Event(Kind.STEP, MANY)]:
        assert specification(event).status >= 0
    for score, (count, classes, first) in zip(scores, ((40, 4, 0), (20, 2, 4)), strict=True):
        given = samples(count, classes, seed=9, first=first)
        decided = [int(specification(Event(Kind.INFER, 0, (x.reshape(1, 8),))).outputs[0].argmax()) for x in given["x"]]
        assert score == pytest.approx(np.mean(np.array(decided) == given["y"]), abs=1.01 / count)


def test_what_rows_say(benchmark: Any, tmp_path: Path) -> None:
    found = task(tmp_path)
    (draw,) = found.draws(1)
    scores = {name: row.scores(found, draw) for name, row in benchmark.ROWS.items()}
    assert scores["before"][1] == 0
    assert min(scores["joint"]) >= 0.9 and min(scores["mean-float"]) >= 0.9
    assert scores["tinyol"][1] >= 0.9
    for first, second in (("mean-unchecked", "mean-float"), ("unchecked", "unchecked-float")):
        assert np.abs(np.subtract(scores[first], scores[second])).max() <= 0.1


def test_what_rows_cost(benchmark: Any, tmp_path: Path) -> None:
    found = task(tmp_path)
    assert benchmark.ROWS["before"].costs(found) is None and benchmark.ROWS["joint"].costs(found) is None
    sizes = {state.tensor.name.rsplit("/")[-1]: state.tensor.bytes for state in found.compiled.lowered.graph.states}
    for name in ("classifier", "mean"):
        costs = benchmark.ROWS[name].costs(found)
        assert costs.samples == sizes["store"] + sizes["store labels"] == 40 * 13
        assert costs.weights == sum(sizes[part] for part in ("weights", "bias", "masters", "bias masters"))
        assert costs.flash == 20 * 13
        assert costs.step is None or 500 < costs.step < 10_000
    assert benchmark.ROWS["tinyol"].costs(found).flash == benchmark.ROWS["mean-unchecked"].costs(found).flash == 0


def tail_task(folder: Path) -> Any:
    """A small network with a convolution learns two classes more, eight samples; tests are of both."""
    tasks = import_module("tasks")
    compiled = learning_last(folder, convolving("residual"), learn="classifier", learn_store=8 * 61)
    model = read(folder / "net.tflite", compiled.options)[1]
    parts = images(8, 2, seed=8, first=4), images(16, 4, seed=9), images(8, 2, seed=10, first=4)
    x, y = (np.concatenate([part[name] for part in parts]) for name in ("x", "y"))
    dense = tensor_of(model, learnable(model).inputs[0], [(sample[None],) for sample in x])
    new, old, tested = np.split(np.arange(32), [8, 24])
    kept = tensor_of(model, learnable(model).inputs[0], [(s[None],) for s in images(24, 4)["x"]]), images(24, 4)["y"]

    def draws(count: int) -> Iterator[Any]:
        for _ in range(count):
            yield tasks.Draw(
                dense[new], y[new], (dense[old], y[old]), (dense[tested], y[tested]), (new, old, tested)
            )  # fmt: skip

    def cuts() -> Any:
        return tasks.features(compiled, x, folder / "cut.npy", cut=True)

    return tasks.Task("small", compiled, folder / "known.npz", kept, draws, cuts), x


@needs("torch", "torch")
def test_the_tail_in_float(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The row of the device is the device's, and that in float64 goes along with it."""
    with benchmark_module(monkeypatch, "tails", "learning") as tails:
        task, x = tail_task(tmp_path)
        (draw,) = task.draws(1)
        decided = {name: tails.ROWS[name].decisions(task, draw) for name in ("last-unchecked", "last-unchecked-float")}
    compiled = learning_last(tmp_path, convolving("residual"), learn_guard=False, learn_store=8 * 61, learn_keep=5)
    specification = Specification(compiled.lowered)
    for number, label in zip(draw.at[0], draw.y, strict=True):
        assert specification(Event(Kind.ADD, int(label), (x[number][None],))).status >= 0
    assert specification(Event(Kind.STEP, MANY)).report.kept == 1
    for numbers, found in zip(draw.at[1:], decided["last-unchecked"], strict=True):
        outputs = [specification(Event(Kind.INFER, 0, (x[n][None],))).outputs[0].reshape(-1) for n in numbers]
        assert all(out[at] == out.max() for out, at in zip(outputs, found, strict=True))
    pairs = zip(*decided.values(), strict=True)
    assert np.mean(np.concatenate([a == b for a, b in pairs])) >= 0.8
