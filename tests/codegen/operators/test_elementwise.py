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


def pair(code: str, a: tuple[float, int], b: tuple[float, int], out: tuple[float, int], table: str) -> bytes:
    builder = ModelBuilder()
    x = builder.input("x", (1, 4), scale=a[0], zero_point=a[1])
    y = builder.input("y", (1, 4), scale=b[0], zero_point=b[1])
    result = builder.tensor("z", (1, 4), scale=out[0], zero_point=out[1])
    builder.operator(code, [x, y], [result], table, version=2)
    builder.output(result)
    return builder.build()


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (pair("MAXIMUM", (0.1, 0), (0.2, 0), (0.1, 0), "MaximumMinimumOptions"), "must be quantised alike"),
        (pair("MINIMUM", (0.1, 0), (0.1, 0), (0.1, 1), "MaximumMinimumOptions"), "must be quantised alike"),
        (pair("DIV", (1.0, 0), (1e-6, 0), (0.1, 0), "DivOptions"), "too far apart"),
        (pair("SQUARED_DIFFERENCE", (1e9, 0), (1.0, 0), (1e-9, 0), "SquaredDifferenceOptions"), "overflow int32"),
        (pair("LESS", (0.1, 0), (0.1, 0), (0.1, 0), "LessOptions"), "makes int8 of int8 and int8"),
        (pair("LOGICAL_AND", (0.1, 0), (0.1, 0), (0.1, 0), "LogicalAndOptions"), "is int8; driftc computes it of bool"),
    ],
)
def test_refused(model: bytes, problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        load_bytes(model)


def test_comparison_of_coarse_values_is_refused() -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, 4), scale=1.5)
    builder.output(builder.compare("LESS", x, x))
    with pytest.raises(ModelError, match="not below 1"):
        load_bytes(builder.build())


@pytest.mark.parametrize("ratio", [1 / 16, 1.0, 16.0])
@pytest.mark.parametrize(("a", "b"), [(0.05, 0.05), (3.0, 0.2)])
def test_every_quotient(tflm: Oracle, a: float, b: float, ratio: float) -> None:
    """Also by 0 and those that are shifted too far, of which the kernel's authors say nothing."""
    builder = ModelBuilder()
    x = builder.input("x", (1, 256, 1), scale=a, zero_point=-9)
    y = builder.input("y", (1, 1, 256), scale=b, zero_point=-100)
    builder.output(builder.div(x, y, out_scale=a / b * ratio))
    every = np.arange(-128, 128).astype(np.int8)
    compare(builder, tflm, samples=[[every.reshape(x.shape), every.reshape(y.shape)]])


def matrices(a: tuple[int, ...], b: tuple[int, ...]) -> bytes:
    builder = ModelBuilder()
    x, y = builder.input("x", a, scale=0.1), builder.input("y", b, scale=0.1, zero_point=5)
    z = builder.tensor("z", (1, a[-2], b[-1]), scale=0.2)
    builder.operator("BATCH_MATMUL", [x, y], [z], "BatchMatMulOptions")
    builder.output(z)
    return builder.build()


def prelu_of(alpha: tuple[int, ...]) -> bytes:
    builder = ModelBuilder()
    x = builder.input("x", (1, 4), scale=0.1)
    builder.output(builder.prelu(x, builder.constant(np.ones(alpha, np.int8), scale=0.1)))
    return builder.build()


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (matrices((1, 4, 5), (1, 4, 5)), "do not fit each other"),
        (matrices((2, 4, 5), (3, 5, 4)), "do not fit each other"),
        (matrices((1, 1, 130000), (1, 130000, 1)), "sum can overflow int32"),
        (prelu_of((2, 4)), "does not fit an input"),
    ],
)
def test_shapes_refused(model: bytes, problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        load_bytes(model)
