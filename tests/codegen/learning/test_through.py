"""Errors that are taken back through pooling, and through tensors that two operators read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_models import convolving, images, learning_last
from learnt import compared
from numpy.typing import NDArray

from driftc.codegen.compiled import Compiled
from driftc.codegen.graph import Graph
from driftc.codegen.learning.trainable import widened
from driftc.codegen.operators.attributes import Activation
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.learn.joined_errors import JoinedErrors
from driftc.codegen.operators.learn.pool_gradient import PoolGradient
from driftc.codegen.operators.reduction.average_pool_2d import AveragePool2D
from driftc.codegen.operators.reduction.max_pool_2d import MaxPool2D
from driftc.codegen.operators.reduction.mean import Mean
from driftc.codegen.operators.reduction.pool import Pool
from driftc.codegen.tensor import Quantization, Tensor

TAILS = ("max", "average", "halved", "residual")
CORES = ("cortex-m0plus", "cortex-m4", "cortex-m55", "rv32imc")


def layers(folder: Path, tail: str, **options: Any) -> Compiled:
    chosen = {"learn_layers": 2, "learn_passes": 1, "learn_store": 8 * 61, "learn_keep": 1, **options}
    return learning_last(folder, convolving(tail), **chosen)


def backward(found: Compiled) -> Graph:
    assert found.lowered.learned is not None
    return found.lowered.learned.graph


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("tail", TAILS)
def test_on_this_machine(tmp_path: Path, tail: str, count: int) -> None:
    """With ASan and UBSan where the compiler has them."""
    found = layers(tmp_path, tail, learn_layers=count)
    kinds = [type(op) for op in backward(found).operators]
    if tail == "residual":
        assert kinds.count(JoinedErrors) == count - 1
    else:
        assert kinds.count(PoolGradient) == count
    assert compared(found, "host", sanitize=found.program().target.cc != "zig") > 200


@pytest.mark.parametrize("core", CORES)
def test_on_emulated_cores(tmp_path: Path, core: str) -> None:
    found = layers(tmp_path, TAILS[CORES.index(core)], core=core)
    assert compared(found, "unicorn" if core in ("cortex-m0plus", "cortex-m4") else "qemu") > 200


def test_what_is_held_behind_a_pool(tmp_path: Path) -> None:
    assert compared(layers(tmp_path, "max", learn_layers=1, learn_hold=2e-4), "host") > 200


def pooling(kind: type[Pool], size: tuple[int, int], window: int, stride: int, reach: int) -> Pool:
    """With a border of `reach` on each side."""
    step = Quantization(np.array([0.1], np.float32), np.array([0], np.int64))
    rows, pixels = ((points + 2 * reach - window) // stride + 1 for points in size)
    x, y = (
        Tensor(name, shape, np.dtype(np.int8), step)
        for name, shape in (("x", (1, *size, 3)), ("y", (1, rows, pixels, 3)))
    )
    return kind(
        name="pool", inputs=(x,), outputs=(y,), activation=Activation.NONE, kernel=(window, window),
        stride=(stride, stride), padding=(reach,) * 4,
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_errors_go_where_values_came_from(data: st.DataObject) -> None:
    """Errors times what is pooled, the largest or the sum, are what is taken back times x: exactly."""
    window = data.draw(st.integers(1, 3))
    size = (data.draw(st.integers(3, 6)), data.draw(st.integers(3, 6)))
    kind = data.draw(st.sampled_from([MaxPool2D, AveragePool2D]))
    pool = pooling(kind, size, window, data.draw(st.integers(1, 3)), data.draw(st.integers(0, window - 1)))
    assert isinstance(pool, MaxPool2D | AveragePool2D)
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = random.integers(-128, 128, pool.inputs[0].shape).astype(np.int8)
    e = random.integers(-(2**14), 2**14 + 1, pool.outputs[0].shape).astype(np.int16)
    at = random.integers(-128, 128, pool.outputs[0].shape).astype(np.int8)
    errors, maps = (Tensor(name, e.shape, np.dtype(kind)) for name, kind in (("e", np.int16), ("m", np.int8)))
    sums = Tensor("sums", x.shape, np.dtype(np.int32))
    largest = isinstance(pool, MaxPool2D)
    op = PoolGradient(
        name="g", inputs=(errors, *((pool.inputs[0],) if largest else ()), maps), outputs=(sums,), pool=pool,
        live=((-100, 100),),
    )  # fmt: skip
    op.check()
    (back,) = op.spec(e, *((x,) if largest else ()), at)
    counted = np.where((at > -100) & (at < 100), e, 0).astype(np.int64)[0]
    given = pool.over_windows(x[0].astype(np.int64), np.maximum if largest else np.add)
    share = np.ones(given.shape, np.int64)
    if op.fraction:
        share = ((op.points << 8) + pool.counts() // 2) // pool.counts()
        share = np.broadcast_to(share[..., np.newaxis], given.shape)
        assert np.allclose(share * op.unit * pool.counts()[..., np.newaxis], 1, atol=1 / 256)
    elif not largest:
        assert op.unit == 1 / pool.counts().max()
    assert int((counted * share * given).sum()) == int((back[0].astype(np.int64) * x[0]).sum())


def test_of_equals_the_first_gets_the_error() -> None:
    pool = pooling(MaxPool2D, (4, 4), 2, 2, 0)
    assert isinstance(pool, MaxPool2D)
    errors, sums = Tensor("e", (1, 2, 2, 3), np.dtype(np.int16)), Tensor("s", (1, 4, 4, 3), np.dtype(np.int32))
    op = PoolGradient(name="g", inputs=(errors, pool.inputs[0]), outputs=(sums,), pool=pool, live=())
    (back,) = op.spec(np.full((1, 2, 2, 3), 5, np.int16), np.zeros((1, 4, 4, 3), np.int8))
    assert np.argwhere(back[0, :, :, 0]).tolist() == [[0, 0], [0, 2], [2, 0], [2, 2]]
    assert set(np.unique(back)) == {0, 5}


@settings(max_examples=40, deadline=None)
@given(
    first=st.integers(0, 60), second=st.integers(0, 60), small=st.integers(0, 2**15), seed=st.integers(0, 99),
    alike=st.booleans(),
)  # fmt: skip
def test_two_errors_are_added(first: int, second: int, small: int, seed: int, alike: bool) -> None:
    """To half a step of each, on the larger exponent."""
    random, shape = np.random.default_rng(seed), (1, 3, 2, 4)
    mine = (1, 4) if alike else shape
    names = [("a", mine, np.int16), ("ea", (1,), np.int32), ("b", shape, np.int16), ("eb", (1,), np.int32)]
    inputs = tuple(Tensor(name, size, np.dtype(kind)) for name, size, kind in (*names, ("m", shape, np.int8)))
    outputs = (Tensor("s", shape, np.dtype(np.int32)), Tensor("e", (1,), np.dtype(np.int32)))
    op = JoinedErrors(
        name="j", inputs=inputs, outputs=outputs, shape=shape, live=((), ((-50, 60),)), scale=(2**15, small)
    )
    op.check()
    a, b = (random.integers(-(2**14), 2**14 + 1, size).astype(np.int16) for size in (mine, shape))
    at = random.integers(-128, 128, shape).astype(np.int8)
    sums, exponent = op.spec(a, np.array([first], np.int32), b, np.array([second], np.int32), at)
    assert exponent.tolist() == [max(first, second)]
    live = np.where((at > -50) & (at < 60), b, 0).astype(np.float64)
    down = [min(max(first, second) - own, 30) for own in (first, second)]
    exact = a.reshape(-1, 4).astype(np.float64) * 2.0 ** (15 - down[0]) + live.reshape(-1, 4) * small / 2.0 ** down[1]
    assert np.abs(sums.reshape(-1, 4) - exact).max() <= 1


Weights = dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]  # of each layer: weights and bias, real


class InFloat:
    """The tail in float64, from what the first layer that learns reads."""

    def __init__(self, found: Compiled) -> None:
        assert found.lowered.learned is not None
        self.lesson = found.lowered.learned.classifier
        source = widened(found.lowered.source, self.lesson.reach)
        dense = next(op for op in source.operators if op.name == self.lesson.layer)
        assert isinstance(dense, FullyConnected)
        self.dense, self.operators = dense, source.operators
        self.layers = {op.name: op for op in source.operators if isinstance(op, Conv2D)}

    def real(self, masters: dict[str, NDArray[Any]]) -> Weights:
        found = {}
        for name, layer in {**self.layers, "": self.dense}.items():
            of = f"{name} " if name else ""
            step = layer.quantization.scale.astype(np.float64)
            weights = np.moveaxis(np.moveaxis(masters[f"{of}masters"] / 2.0**16, 0, -1) * step, -1, 0)
            found[name] = (weights, masters[f"{of}bias masters"] / 2.0**4 * step * float(layer.inputs[0].scale))
        return found

    def loss(self, weights: Weights, x: NDArray[np.int8], label: int) -> float:
        values: dict[str, NDArray[np.float64]] = {}
        for op in self.operators:
            first, y = op.inputs[0], op.outputs[0]
            given = values.get(first.name)
            if given is None:
                given = (x.astype(np.float64) - first.zero_point) * first.scale
            if op is self.dense:
                logits = weights[""][0] @ given.reshape(-1) + weights[""][1]
                return float(np.log(np.exp(logits - logits[label]).sum()))
            if isinstance(op, Conv2D):
                windows = op.float_windows(given.reshape(first.shape))[0]
                result = np.einsum("hwklc,oklc->hwo", windows, weights[op.name][0]) + weights[op.name][1]
            elif isinstance(op, AveragePool2D):
                result = op.over_windows(given, np.add) / op.counts()[..., np.newaxis]
            elif isinstance(op, MaxPool2D):
                result = op.over_windows(given, np.maximum)
            elif isinstance(op, Add):
                result = given + values[op.inputs[1].name]
            else:
                assert isinstance(op, Mean)
                result = given.mean(axis=(0, 1))
            if isinstance(op, Conv2D | Add | AveragePool2D | MaxPool2D):
                low, high = ((bound - y.zero_point) * float(y.scale) for bound in op.range)
                result = np.clip(result, low, high)
            values[y.name] = np.asarray(result, np.float64)
        raise AssertionError("no dense layer")


@pytest.mark.parametrize("tail", TAILS)
def test_gradients_follow_float(tmp_path: Path, tail: str) -> None:
    """Each layer moves by its rate times what the loss in float64 changes by each weight: in direction and length."""
    found = layers(tmp_path, tail, learn_guard=False, learn_rate=0.02, learn_classes=4)
    assert found.lowered.learned is not None
    learner, real = found.lowered.learned.learner(), InFloat(found)
    learner.load_masters()
    random = np.random.default_rng(2)
    weights = real.real(learner.values)
    masters = {name: values.copy() for name, values in learner.values.items() if name.endswith("masters")}
    alike: dict[str, list[tuple[float, float]]] = {name: [] for name in real.lesson.layers}
    assert len(alike) == 2
    shown = images(12, 4, seed=6)
    for x, y in zip(shown["x"], shown["y"], strict=True):
        for name, values in masters.items():
            learner.values[name][...] = values
        learner.backward(x, int(y))
        after = real.real(learner.values)
        for name, rate in zip(real.lesson.layers, real.lesson.rates, strict=True):
            own, slopes, moved = weights[name][0], [], []
            for place in random.permutation(own.size)[:80]:
                at = np.unravel_index(place, own.shape)
                kept, losses = own[at], []
                for step in (1e-6, -1e-6):
                    own[at] = kept + step
                    losses.append(real.loss(weights, x, int(y)))
                own[at] = kept
                slopes.append(-rate * (losses[0] - losses[1]) / 2e-6)
                moved.append(after[name][0][at] - kept)
            lengths = [float(np.linalg.norm(values)) for values in (slopes, moved)]
            if lengths[0] > real.layers[name].quantization.scale.max() / 4:  # else it is the masters' steps
                cosine = float(np.dot(slopes, moved)) / (lengths[0] * lengths[1])
                alike[name].append((cosine, lengths[1] / lengths[0]))
    for name, pairs in alike.items():
        cosine, length = np.mean(pairs, axis=0)
        assert len(pairs) >= 8 and cosine > 0.97 and 0.95 < length < 1.05, name
