"""SVDF and LSTM at their limits, what they refuse, and the table of sigmoid and tanh."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from models import ModelBuilder
from oracle import Oracle, compare, load_bytes

from driftc.codegen.errors import ModelError
from driftc.codegen.operators.recurrent.sigmoid_table import TABLE, sigmoid, tanh

RANDOM = np.random.default_rng(3)


def weights(*shape: int) -> np.ndarray[Any, np.dtype[np.int8]]:
    return RANDOM.integers(-127, 128, shape, dtype=np.int8)


def svdf(**changes: Any) -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("x", (1, 5), scale=0.1, zero_point=3)
    options: dict[str, Any] = {"scales": (0.01, 0.02, 0.1), "out_scale": 0.2, "rank": 2, "name": "units"}
    parts = {"feature": weights(4, 5), "time": weights(4, 3), "bias": np.arange(2)}
    m.output(m.svdf(x, **parts | options | changes))  # type: ignore[arg-type]
    return m


def lstm(**changes: Any) -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("x", (1, 4, 3), scale=0.1, zero_point=3)
    options: dict[str, Any] = {"scales": ([0.005] * 4, [0.005] * 4), "hidden_scale": 1 / 128, "name": "lstm"}
    parts = {
        "weights": [weights(5, 3) for _ in range(4)],
        "recurrent": [weights(5, 5) for _ in range(4)],
        "biases": [np.zeros(5)] * 4,
    }
    m.output(m.lstm(x, **parts | options | changes))  # type: ignore[arg-type]
    return m


def test_the_table_in_c_is_the_one_here() -> None:
    text = files("driftc").joinpath("firmware", "driftc_sigmoid.h").read_text(encoding="utf-8")
    values = re.search(r"driftc_sigmoid_table\[256\] = \{(.*?)\};", text, re.DOTALL)
    assert values is not None
    assert [int(word) for word in values[1].split(",")] == TABLE.tolist()


def test_near_sigmoid_and_tanh() -> None:
    x = np.arange(-32768, 32768, dtype=np.int64)
    real = x / 4096
    assert np.abs(sigmoid(x) / 32768 - 1 / (1 + np.exp(-real))).max() < 5e-5
    assert np.abs(tanh(x, 0) / 32768 - np.tanh(real)).max() < 2e-4
    assert np.abs(tanh(x, -3) / 32768 - np.tanh(real / 8)).max() < 3e-4
    assert np.abs(tanh(x, 9) / 32768 - np.tanh(real * 512)).max() < 2e-4


@pytest.mark.parametrize("zero_point", [-128, 100, 127])
def test_the_newest_state_wraps_as_the_reference_lets_it(tflm: Oracle, zero_point: int) -> None:
    """Products that saturate, and a zero point added after that."""
    compare(svdf(scales=(0.9, 0.02, 0.05), state_zero_point=zero_point, out_scale=0.01), tflm, 1)


@pytest.mark.parametrize("power", range(-15, -2))
def test_every_scale_of_the_cell_state(tflm: Oracle, power: int) -> None:
    scales = ([0.02] * 4, [0.02] * 4)
    compare(lstm(cell_power=power, scales=scales, cell_clip=3.0 if power % 2 else 0.0), tflm, power + 20)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"rank": 3}, "rank 3 does not divide 4 filters"),
        ({"time": weights(3, 3)}, "its input and weights do not fit together"),
        ({"feature": weights(4, 6)}, "its input and weights do not fit together"),
        ({"bias": np.arange(3)}, "has 3 biases for 2 units"),
        ({"feature": weights(4, 5).astype(np.int16)}, "are int16"),
        ({"scales": (0.01, 0.02, 1e9)}, "bias"),
    ],
)
def test_svdf_refuses(changes: dict[str, Any], problem: str) -> None:
    m = svdf(**changes)
    if "scales" in changes:  # the scale of the bias is not that of the sums
        m.tensors = [replace(t, scale=(1.0,)) if t.dtype == np.int32 and t.data is not None else t for t in m.tensors]
    with pytest.raises(ModelError, match=problem):
        load_bytes(m.build())


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"weights": [weights(5, 4)] * 4}, r"weights .* are int8 \[5, 4\], not \[5, 3\]"),
        ({"recurrent": [weights(5, 4)] * 4}, r"recurrent weights .* are int8 \[5, 4\]"),
        ({"cell_power": -2}, "the scale of its cell state is 0.25"),
        ({"cell_clip": -1.0}, "cell clip -1 is not a number from 0 on"),
        ({"cell_clip": float("nan")}, "cell clip nan"),
    ],
)
def test_lstm_refuses(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        load_bytes(lstm(**changes).build())


@pytest.mark.parametrize(
    ("place", "problem"),
    [(9, "has peepholes"), (16, "has a projection"), (20, "has layer normalisation"), (1, "input 1")],
)
def test_lstm_of_other_kinds(place: int, problem: str) -> None:
    m = lstm()
    (operator,) = m.operators
    held = list(operator.inputs)
    held[place] = -1 if place == 1 else held[12]
    m.operators = [replace(operator, inputs=tuple(held))]
    with pytest.raises(ModelError, match=problem):
        load_bytes(m.build())


@pytest.mark.parametrize("make", [svdf, lstm])
def test_a_state_must_be_marked(make: Any) -> None:
    m = make()
    m.tensors = [replace(tensor, variable=False) for tensor in m.tensors]
    with pytest.raises(ModelError, match="has no value and is never computed"):
        load_bytes(m.build())


@pytest.mark.parametrize("make", [svdf, lstm])
def test_not_as_litert_computes(make: Any, tmp_path: Any) -> None:
    from driftc.codegen.api import compile

    (tmp_path / "m.tflite").write_bytes(make().build())
    with pytest.raises(ModelError, match=r"LiteRT rounds it otherwise.*compile with --match tflm"):
        compile(tmp_path / "m.tflite", match="litert", measure=False)


@pytest.mark.parametrize("make", [svdf, lstm])
def test_an_open_batch(make: Any, tflm: Oracle) -> None:
    """As converters write a model whose batch is left open: it is 1, as the states have it."""
    m = make()
    opened = {m.inputs[0].index, m.outputs[0].index}
    m.tensors = [replace(t, open=(0,)) if t.index in opened else t for t in m.tensors]
    compare(m, tflm, 3)
