"""What is tried in float when compiling: how fast a layer learns, and how large its weights become."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from learning_models import classifier, learning, samples
from numpy.typing import NDArray

from driftc.codegen.learning.rehearsal import ROOM, STEPS, WIDEST, Rehearsal
from driftc.codegen.learning.trainable import learnable, row_scales, widened
from driftc.codegen.lower import read
from driftc.codegen.operators.convolution.fully_connected import FullyConnected


def clusters(apart: float, classes: int = 4, each: int = 40, seed: int = 0) -> Rehearsal:
    """Samples about centres, and a layer that is right about their classes."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(classes, 12)) * apart
    labels = np.tile(np.arange(classes), each)
    x = centres[labels] + random.normal(size=(len(labels), 12))
    bias: NDArray[np.float64] = -(centres**2).sum(axis=1) / 2
    return Rehearsal(x, labels, centres, bias, keep=5, passes=30, seed=1)


@pytest.mark.parametrize("apart", [4.0, 0.7])
def test_the_fastest_rate_that_is_good(apart: float) -> None:
    """Classes that are far apart are learnt at any rate; those that overlap by small steps."""
    found = clusters(apart, seed=1)
    power = float((found.features**2).sum(axis=1).mean())
    rates = [step / power for step in STEPS]
    chosen, reach = found.found(rates)
    assert (chosen == rates[0]) == (apart > 1) and chosen in rates
    alone = [found.found([rate])[1] for rate in rates]
    assert reach == alone[rates.index(chosen)]
    assert alone == sorted(alone, reverse=True)


def test_room_is_for_what_is_seen_and_bounded() -> None:
    found = clusters(0.4)
    largest = float(np.abs(found.weights).max())
    assert found.found([1e-9])[1] == pytest.approx(ROOM * largest)
    assert found.found([1e6])[1] == WIDEST * largest


@pytest.mark.parametrize(("classes", "each"), [(2, 40), (3, 40), (4, 6), (4, 7), (9, 40)])
def test_few_classes_and_few_samples(classes: int, each: int) -> None:
    rate, reach = clusters(1.0, classes, each).found([0.1, 0.01])
    assert rate in (0.1, 0.01)
    assert (reach == 0) == (each == 6)  # five of them are references


@pytest.mark.parametrize("per_row", [True, False])
def test_a_layer_with_more_room_is_the_same_layer(tmp_path: Path, per_row: bool) -> None:
    """Each row within half a step of its own scale, and rows that have room as they were."""
    compiled = learning(tmp_path, classifier(per_row=per_row), learn_keep=15)
    model = read(tmp_path / "net.tflite", compiled.options)[1]
    before = learnable(model)
    reach = 1.5 * 127 * (0.01 if per_row else float(before.quantization.scale[0]))
    after = learnable(widened(model, reach))
    old, new = row_scales(before, 4), row_scales(after, 4)
    assert np.allclose(new, np.maximum(old, reach / 127)) and (new > old).any()
    for first, second, bias, other, low, high in zip(
        real(before), real(after), before.raw_bias * old, after.raw_bias * new, old, new, strict=True
    ):
        assert np.abs(first - second).max() <= (high / 2 * 1.001 if high > low else 0)
        assert abs(bias - other) <= high / 2 * 1.001
    assert widened(model, 0.0) is model


def real(layer: FullyConnected) -> NDArray[np.float64]:
    assert layer.weights.data is not None
    return np.asarray(layer.weights.data * row_scales(layer, 4)[:, None], np.float64)


def test_compiling_gives_room(tmp_path: Path) -> None:
    """Learning two classes more saturates masters on the layer's own scales, and none where there was a rehearsal."""
    saturated = []
    for keep in (5, 15):  # of fifteen of each class: with keep 15 nothing is left to rehearse with
        found = learning(tmp_path, learn_keep=keep, learn_guard=False, learn_rate=0.5)
        assert found.lowered.learned is not None
        lesson = found.lowered.learned.classifier
        assert (lesson.reach > 0) == (keep == 5)
        learner = found.lowered.learned.learner()
        known = np.random.default_rng(0).integers(-128, 128, (8, 12), dtype=np.int8)
        for x, y in zip(known, samples(8, 2, first=4)["y"], strict=True):
            learner.infer(x)
            learner.add(int(y))
        while learner.step() > 0:
            pass
        saturated.append(learner.report.saturated)
    assert saturated[0] < saturated[1]
