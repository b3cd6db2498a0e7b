"""`--learn-layers`: several convolutions learn, by errors that are taken back through them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learning_models import convolving, images, learning_last
from learnt import compared

from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import ModelError, UsageError
from driftc.codegen.operators.learn.conv_gradient import ConvGradient, NormalizedErrors
from driftc.codegen.operators.learn.conv_update import ConvUpdate
from driftc.codegen.operators.learn.masks import counted
from driftc.codegen.operators.learn.trained_conv import by_group, taps_of
from driftc.codegen.tensor import Tensor

TAILS = ("pointwise", "strided", "depthwise", "flat")
CORES = ("cortex-m0plus", "cortex-m4", "cortex-m55", "rv32imc")


def layers(folder: Path, tail: str, **options: Any) -> Compiled:
    chosen = {"learn_layers": 2, "learn_passes": 1, "learn_store": 8 * 61, "learn_keep": 1, **options}
    return learning_last(folder, convolving(tail), **chosen)


@pytest.mark.parametrize("tail", TAILS)
def test_on_this_machine(tmp_path: Path, tail: str) -> None:
    """With ASan and UBSan where the compiler has them."""
    found = layers(tmp_path, tail)
    assert compared(found, "host", sanitize=found.program().target.cc != "zig") > 200


@pytest.mark.parametrize("core", CORES)
def test_on_emulated_cores(tmp_path: Path, core: str) -> None:
    found = layers(tmp_path, TAILS[CORES.index(core)], core=core)
    assert compared(found, "unicorn" if core in ("cortex-m0plus", "cortex-m4") else "qemu") > 200


@pytest.mark.parametrize("tail", TAILS)
def test_errors_are_taken_back_by_the_transpose(tmp_path: Path, tail: str) -> None:
    """Exactly: errors times what the layer gives of x are what is taken back times x, whatever the three are."""
    found = layers(tmp_path, tail).lowered.learned
    assert found is not None
    op = next(op for op in found.graph.operators if isinstance(op, ConvGradient))
    random = np.random.default_rng(3)
    errors = random.integers(-(2**14), 2**14 + 1, op.inputs[0].shape).astype(np.int16)
    weights = random.integers(-127, 128, op.filters).astype(np.int8)
    maps = [random.integers(-128, 128, tensor.shape).astype(np.int8) for tensor in op.inputs[2:]]
    x = random.integers(-128, 128, op.outputs[0].shape).astype(np.int8)
    (back,) = op.spec(errors, weights, *maps)
    taps = taps_of(op.layer, x, op.filters)
    rows = by_group(op.layer, weights.reshape(len(weights), -1).T.astype(np.int64), op.filters)
    given = np.concatenate(list(taps @ rows), axis=1)
    e = (errors.astype(np.int64).reshape(-1, op.filters[0]) * op.scale * 2 + 2**15) >> 16
    e = np.broadcast_to(e, given.shape)
    e = counted(e.astype(np.int64), op.live, maps)
    real = x.astype(np.int64) - op.layer.inputs[0].zero_point
    assert int((e * given).sum()) == int((back.astype(np.int64) * real).sum()) != 0


def test_largest_errors() -> None:
    """Their shift is the least that fits; the exponent grows by it."""
    for largest, more in ((0, 0), (2**14 - 1, 0), (2**14, 1), (-(2**31) + 1, 17)):
        made = Tensor("errors", (2,), np.dtype(np.int16))
        op = NormalizedErrors(name="errors", inputs=(), outputs=(made,))
        errors, exponent = op.spec(np.array([largest, 1], np.int32), np.array([5], np.int32))
        assert exponent.tolist() == [5 + more]
        assert errors.tolist() == [(2 * largest + 2**more) // 2 ** (more + 1), int(more <= 1)]


def test_the_gradient_is_that_of_the_loss(tmp_path: Path) -> None:
    """Of both layers: a step against it, in weights of real values, lowers the loss by the length that it has."""
    found = layers(tmp_path, "strided", learn_rate=0.002).lowered.learned
    assert found is not None
    learner = found.learner()
    learner.load_masters()
    given = images(12, 4, seed=8)
    logits = next(op for op in found.graph.operators if op.kind == "CROSS_ENTROPY")

    def loss() -> float:
        total = 0.0
        for x, y in zip(given["x"], given["y"], strict=True):
            sums = learner.traced(x, int(y))["learn/sums"]
            z = logits.logits(sums) * np.log(2) / 256  # type: ignore[attr-defined]
            total += float(np.log(np.exp(z - z[y]).sum()))
        return total / len(given["y"])

    before = loss()
    masters = {name: learner.values[name].copy() for name in learner.values if name.endswith("masters")}
    updates = [op for op in found.graph.operators if isinstance(op, ConvUpdate)]
    assert len(updates) == 2
    lower = []
    for update in updates:  # each layer by itself, the others as they were
        own = update.layer.name
        for name, values in masters.items():
            learner.values[name][...] = values
        for x, y in zip(given["x"], given["y"], strict=True):
            learner.backward(x, int(y))
            for name, values in masters.items():
                if not name.startswith(own):
                    learner.values[name][...] = values
        lower.append(before - loss())
    assert min(lower) > 0


def test_rows_at_the_border_of_what_goes(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"--learn-layers 3: but 1 convolutions"):
        layers(tmp_path, "pointwise", learn_layers=3)
    for options, problem in (
        ({"learn": "classifier"}, "--learn-layers belongs"),
        ({"learn_hold": 0.1}, "--learn-layers belongs"),
        ({"learn_layers": 0}, "--learn-layers 0"),
    ):
        with pytest.raises(UsageError, match=problem):
            layers(tmp_path, "pointwise", **options)
