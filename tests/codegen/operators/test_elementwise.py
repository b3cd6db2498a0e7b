"""ADD, SUB and MUL at their limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import ModelBuilder
from operator_cases import few, scales, zero_points
from oracle import Oracle, compare, load_bytes

from driftc.codegen.errors import ModelError


@few
@given(st.sampled_from(["add", "sub", "mul"]), scales, scales, st.floats(0.5, 2.0), zero_points)
def test_every_pair_of_values(tflm: Oracle, code: str, a: float, b: float, ratio: float, zero: int) -> None:
    """Ties tell float32 from float64 factors."""
    builder = ModelBuilder()
    x = builder.input("x", (1, 256, 1), scale=a)
    y = builder.input("y", (1, 1, 256), scale=b, zero_point=zero)
    out_scale = 100 * a * b * ratio if code == "mul" else max(a, b) * ratio
    builder.output(getattr(builder, code)(x, y, out_scale=out_scale))
    every = np.arange(-128, 128).astype(np.int8)
    compare(builder, tflm, samples=[[every.reshape(x.shape), every.reshape(y.shape)]])


@pytest.mark.parametrize("code", ["add", "sub"])
@pytest.mark.parametrize("out_scale", [2.0**-19, 1e-30])
def test_output_scale_that_aborts_tflite_micro_is_refused(code: str, out_scale: float) -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, 4), scale=1.0)
    builder.output(getattr(builder, code)(x, x, out_scale=out_scale))
    with pytest.raises(ModelError, match="too far apart"):
        load_bytes(builder.build())


def test_product_that_can_overflow_is_refused() -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, 4), scale=1e6)
    builder.output(builder.mul(x, x, out_scale=1e-3))
    with pytest.raises(ModelError, match="overflow int32"):
        load_bytes(builder.build())


def test_shapes_that_do_not_fit_are_refused() -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, 4), scale=1.0)
    y = builder.input("y", (1, 3), scale=1.0)
    out = builder.tensor("out", (1, 4), scale=1.0)
    builder.operator("ADD", [x, y], [out], "AddOptions")
    builder.output(out)
    with pytest.raises(ModelError, match=r"operator 0 ADD 'out': shapes \[1, 4\] and \[1, 3\] do not fit"):
        load_bytes(builder.build())
