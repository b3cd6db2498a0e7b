"""Values wider than a byte at the border of int8 models: QUANTIZE from and to int16 and int32, SOFTMAX to int16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from models import ModelBuilder
from operator_cases import examples, ratios, scales, seeds
from oracle import Oracle, compare, load_bytes

from driftc.codegen.api import compile
from driftc.codegen.errors import ModelError
from driftc.codegen.operators.conversion.requantize import PAIRS
from driftc.simulator.engines import engine


def quantize(source: str, target: str, scale: float, ratio: float, zeros: tuple[int, int] = (0, 0)) -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("x", (3, 7), dtype=source, scale=scale, zero_point=zeros[0])
    y = m.tensor("y", (3, 7), dtype=target, scale=scale * ratio, zero_point=zeros[1])
    m.operator("QUANTIZE", [x], [y], "QuantizeOptions", version=2)
    m.output(y)
    return m


def softmax(depth: int, scale: float, beta: float, out_scale: float = 2.0**-16) -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("x", (4, depth), scale=scale, zero_point=3)
    y = m.tensor("y", (4, depth), dtype=np.int16, scale=out_scale, zero_point=-32768)
    m.operator("SOFTMAX", [x], [y], "SoftmaxOptions", version=2, Beta=beta)
    m.output(y)
    return m


@pytest.mark.parametrize("pair", PAIRS, ids="_".join)
@examples(15)
@given(scales, ratios, st.integers(-8, 8), st.integers(-100, 100), st.integers(-100, 100), seeds)
def test_quantize(
    tflm: Oracle, pair: tuple[str, str], scale: float, ratio: float, power: int, first: int, second: int, seed: int
) -> None:
    zeros = (first if pair[0] == "int8" else 0, second if pair[1] == "int8" else 0)
    compare(quantize(*pair, scale, ratio * 2.0**power, zeros), tflm, seed)


@examples(15)
@given(st.integers(2, 20), scales, st.sampled_from([1.0, 0.5, 3.0]), seeds)
def test_softmax(tflm: Oracle, depth: int, scale: float, beta: float, seed: int) -> None:
    assume(beta * scale * 2**26 > 1)
    compare(softmax(depth, scale, beta, out_scale=float(np.float32(0.000015259))), tflm, seed)


def test_softmax_of_many(tflm: Oracle) -> None:
    """Sums beyond 512, at which the kernel to int8 would stop."""
    compare(softmax(1000, 0.01, 1.0), tflm, 1)


def test_other_scales_are_refused() -> None:
    with pytest.raises(ModelError, match="must have scale 1/65536 and zero point -32768"):
        load_bytes(softmax(4, 0.1, 1.0, out_scale=0.01).build())


@pytest.mark.parametrize("name", ["host", "unicorn"])
def test_compiled(tmp_path: Path, name: str) -> None:
    if (reason := engine(name).missing_for("cortex-m4")) is not None:
        pytest.skip(reason)
    models = [quantize(*pair, 0.02, 0.7) for pair in PAIRS] + [quantize(*pair, 0.02, 30.0) for pair in PAIRS]
    for number, model in enumerate([*models, softmax(5, 0.1, 1.0), softmax(600, 0.01, 1.0)]):
        path = tmp_path / f"m{number}.tflite"
        path.write_bytes(model.build())
        found = compile(path, measure=False)
        result = found.verify(engines=[name], random=2, sanitize=name == "host")
        assert result.first_difference is None, str(result.first_difference)
    assert "M0_INPUT_SCALE 0.02f" in str(compile(tmp_path / "m0.tflite", measure=False).sources["m0.h"])
