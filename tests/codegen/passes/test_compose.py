"""Tables behind each other are one: the same bytes, and nothing lost of what others read."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import ModelBuilder, Tensor
from operator_cases import examples, scales, zero_points
from oracle import load_bytes

import driftc
from driftc.codegen.operators.elementwise.composed import Composed
from driftc.codegen.passes.compose import compose
from driftc.simulator.engines import engine, reference
from driftc.simulator.reference import run_graph

EVERY = np.arange(-128, 128).astype(np.int8).reshape(1, 256)
FUNCTIONS = ("logistic", "tanh", "relu", "relu6", "leaky_relu", "hard_swish", "quantize")


def step(m: ModelBuilder, code: str, x: Tensor, scale: float, zero: int) -> Tensor:
    if code in ("logistic", "tanh"):  # whose scales are fixed
        return getattr(m, code)(x)  # type: ignore[no-any-return]
    if code == "leaky_relu":
        return m.leaky_relu(x, 0.2, out_scale=scale, out_zero_point=zero)
    return getattr(m, code)(x, out_scale=scale, out_zero_point=zero)  # type: ignore[no-any-return]


@examples(60)
@given(st.lists(st.tuples(st.sampled_from(FUNCTIONS), st.floats(0.4, 3), zero_points), min_size=2, max_size=4), scales)
def test_one_table(chain: list[tuple[str, float, int]], scale: float) -> None:
    m = ModelBuilder()
    x = m.input("x", (1, 256), scale=scale, zero_point=3)
    for code, factor, zero in chain:
        x = step(m, code, x, float(x.scale[0]) * factor, zero)
    m.output(x)
    try:
        model = load_bytes(m.build())
    except driftc.DriftcError:
        return  # scales that an operator does not take
    changed = compose(model)
    changed.check()
    (table,) = changed.operators
    table.check()
    assert isinstance(table, Composed)
    assert changed.fused == {operator.outputs[0].name: table.name for operator in model.operators[:-1]}
    expected = run_graph(model, [EVERY])[model.outputs[0].name]
    assert np.array_equal(run_graph(changed, [EVERY])[model.outputs[0].name], expected)
    assert np.array_equal(table.table, expected.reshape(-1))


def test_what_others_read_stays() -> None:
    """An output of the model, and a tensor with two readers."""
    m = ModelBuilder()
    x = m.input("x", (1, 256), scale=0.03, zero_point=3)
    first = m.tanh(x)
    second = m.logistic(first)
    left, right = m.relu(second), m.leaky_relu(second, 0.1, out_scale=0.01)
    m.output(first, m.tanh(left), right)
    model = load_bytes(m.build())
    changed = compose(model)
    assert [operator.kind for operator in changed.operators] == ["TANH", "LOGISTIC", "LEAKY_RELU", "TANH"]
    values, same = run_graph(model, [EVERY]), run_graph(changed, [EVERY])
    for tensor in model.outputs:
        assert np.array_equal(values[tensor.name], same[tensor.name])


@pytest.mark.parametrize("around", [np.int8, np.uint8])
def test_compiled(around: type, tmp_path: Path) -> None:
    """QUANTIZE at the border, clamps that a convolution takes first, float functions, and views between."""
    if (reason := engine("host").missing()) is not None:
        pytest.skip(reason)
    m = ModelBuilder()
    zero = 125 if around is np.uint8 else -3
    x = m.input("x", (1, 4, 4, 2), scale=0.05, zero_point=zero, dtype=around)
    x = m.quantize(x, out_scale=0.05, out_zero_point=-3) if around is np.uint8 else x
    x = m.leaky_relu(m.tanh(x), 0.1, out_scale=0.01)
    weights = np.random.default_rng(1).integers(-127, 128, (3, 1, 1, 2))
    x = m.relu6(m.relu(m.conv_2d(x, weights, weight_scale=0.01, out_scale=0.03)))
    x = m.hard_swish(m.quantize(x, out_scale=0.02, out_zero_point=4), out_scale=0.02)
    x = m.quantize(m.unary("NEG", m.dequantize(m.logistic(x))), out_scale=1 / 256, out_zero_point=127)
    m.output(m.quantize(x, out_scale=1 / 200, out_zero_point=255, dtype=around) if around is np.uint8 else m.tanh(x))
    path = tmp_path / "m.tflite"
    path.write_bytes(m.build())
    made = driftc.compile(path, measure=False)
    operators = made.lowered.graph.operators
    assert not any(isinstance(one, Composed) and isinstance(two, Composed) for one, two in pairwise(operators))
    assert [operator.kind for operator in operators][1:-1] == ["CONV_2D"]
    assert set(made.lowered.graph.fused.values()) <= {operator.name for operator in operators}
    references = [name for name in ("tflm", "litert") if reference(name).missing() is None]
    found = made.verify(engines=["host", *references], random=3, sanitize=True)
    assert found.bit_exact, str(found.first_difference)
    assert len(found.fused) + len(found.compared) == found.total
