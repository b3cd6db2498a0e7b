"""Maps of one byte to another: table, clamp and limits; float32 at the border against TFLite Micro."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import ModelBuilder, Tensor
from operator_cases import few, scales, seeds, zero_points
from oracle import Oracle, compare, load_bytes, samples_of

from driftc.codegen.errors import ModelError
from driftc.codegen.kernels.portable.default import PORTABLE
from driftc.codegen.operators.elementwise.lookup import Lookup
from driftc.codegen.passes.tabulate import tabulate

EVERY = np.arange(-128, 128).astype(np.int8).reshape(1, 256)


def table_of(builder: ModelBuilder) -> Lookup:
    (operator,) = load_bytes(builder.build()).operators
    assert isinstance(operator, Lookup)
    return operator


@few
@given(scales, zero_points)
def test_table_is_the_map(scale: float, zero: int) -> None:
    builder = ModelBuilder()
    builder.output(builder.logistic(builder.input("x", (1, 256), scale=scale, zero_point=zero)))
    operator = table_of(builder)
    assert np.array_equal(PORTABLE.constants(operator)["table"], operator.spec(EVERY)[0][0])


@few
@given(scales, zero_points, st.sampled_from(["relu", "relu6"]))
def test_clamp_is_the_map(scale: float, zero: int, code: str) -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, 256), scale=scale, zero_point=zero)
    builder.output(getattr(builder, code)(x))
    operator = table_of(builder)
    assert operator.clamp is not None
    assert np.array_equal(np.clip(EVERY, *operator.clamp), operator.spec(EVERY)[0])


def test_relu_that_requantises_is_no_clamp() -> None:
    builder = ModelBuilder()
    builder.output(builder.relu(builder.input("x", (1, 4), scale=0.1), out_scale=0.2))
    assert table_of(builder).clamp is None


@few
@given(scales, zero_points, seeds)
def test_float_to_int8(tflm: Oracle, scale: float, zero: int, seed: int) -> None:
    builder = ModelBuilder()
    x = builder.input("x", (3, 100), dtype=np.float32)
    builder.output(builder.quantize(x, out_scale=scale, out_zero_point=zero))
    random = np.random.default_rng(seed)
    steps = random.integers(-600, 600, x.shape) / 2  # ties included
    near = np.nextafter((steps * np.float32(scale)).astype(np.float32), np.float32(random.choice([-np.inf, np.inf])))
    given_ = [[(steps * np.float32(scale)).astype(np.float32)], [near], *samples_of(builder, seed)]
    compare(builder, tflm, samples=given_)


def test_float_beyond_int32_saturates_and_nan_is_zero() -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, 6), dtype=np.float32)
    builder.output(builder.quantize(x, out_scale=0.5, out_zero_point=-3))
    values = np.array([[np.inf, -np.inf, 3e38, -3e38, np.nan, 1e10]], np.float32)
    (operator,) = load_bytes(builder.build()).operators
    assert operator.spec(values)[0].tolist() == [[127, -128, 127, -128, -3, 127]]


@few
@given(scales, zero_points)
def test_int8_to_float(tflm: Oracle, scale: float, zero: int) -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, 256), scale=scale, zero_point=zero)
    builder.output(builder.dequantize(x))
    compare(builder, tflm, samples=[[EVERY]])


def unary(
    code: str, into: tuple[float, int], out: tuple[float, int], table: str | None = None, **options: Any
) -> bytes:
    builder = ModelBuilder()
    x = builder.input("x", (1, 4), scale=into[0], zero_point=into[1])
    y: Tensor = builder.tensor("y", (1, 4), scale=out[0], zero_point=out[1])
    builder.operator(code, [x], [y], table, **options)
    builder.output(y)
    return builder.build()


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (unary("LOGISTIC", (0.1, 0), (1 / 256, 0)), "scale 1/256 and zero point -128"),
        (unary("LOGISTIC", (0.1, 0), (1 / 128, -128)), "scale 1/256 and zero point -128"),
        (unary("LOGISTIC", (1e-12, 0), (1 / 256, -128)), "out of any sensible range"),
        (unary("TANH", (1e30, 0), (1 / 128, 0)), "out of any sensible range"),
        (unary("TANH", (0.1, 0), (1 / 128, 1)), "scale 1/128 and zero point 0"),
        (unary("RELU6", (0.1, 0), (0.2, 0)), "must be quantised alike"),
        (unary("RELU", (1e20, 0), (1e-20, 0)), "overflow int32"),
        (unary("QUANTIZE", (1e20, 0), (1e-20, 0)), "overflow int32"),
        (unary("HARD_SWISH", (12.8, 0), (0.1, 0)), "too far apart"),
        (unary("LEAKY_RELU", (0.1, 0), (0.1, 0), "LeakyReluOptions", Alpha=float("nan")), "not a number"),
        (unary("LEAKY_RELU", (0.1, 0), (0.1, 0), "LeakyReluOptions", Alpha=1e30), "overflow int32"),
    ],
)
def test_refused(model: bytes, problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        load_bytes(model)


EXTREMES = [(1e7, 1e-4), (1e30, 1e-30), (3e38, 1e-3), (1.0, 1e-44), (1e-44, 1.0)]


@pytest.mark.parametrize("code", ["EXP", "LOG", "GELU", "SQRT", "RELU_N1_TO_1"])
@pytest.mark.parametrize(("scale", "out"), EXTREMES)
def test_functions_of_any_scale_as_litert(litert: Oracle, code: str, scale: float, out: float) -> None:
    any_scale(litert, code, scale, out)


@pytest.mark.parametrize("code", ["ELU", "ABS", "RSQRT", "HARD_SWISH"])
@pytest.mark.parametrize(("scale", "out"), [*EXTREMES, (1.43e-8, 7.15e-9), (3e-6, 1e-4), (1e-7, 2e-3)])
def test_functions_of_any_scale_as_tflite_micro(tflm: Oracle, code: str, scale: float, out: float) -> None:
    any_scale(tflm, code, scale, out)


def any_scale(reference: Oracle, code: str, scale: float, out: float) -> None:
    """Equal to the reference, or refused."""
    builder = ModelBuilder()
    x = builder.input("x", (1, 256), scale=scale, zero_point=-128 if "SQRT" in code else 3)
    builder.output(builder.unary(code, x, out_scale=out, out_zero_point=5))
    try:
        load_bytes(builder.build())
    except ModelError as refused:
        assert re.search("overflow int32|too far apart|out of any sensible range|requantisation", str(refused))
    else:
        compare(builder, reference, samples=[[EVERY]])


def test_function_of_int8_that_no_reference_computes_is_refused() -> None:
    builder = ModelBuilder()
    builder.output(builder.unary("NEG", builder.input("x", (1, 4), scale=0.1)))
    with pytest.raises(ModelError, match="does not compute it in int8"):
        load_bytes(builder.build())


def test_functions_between_dequantize_and_quantize_are_one_table(tflm: Oracle) -> None:
    """One float tensor read twice: by another function, and by a second QUANTIZE."""
    builder = ModelBuilder()
    x = builder.dequantize(builder.input("x", (1, 256), scale=0.03, zero_point=-20))
    y = builder.unary("NEG", x, name="neg")
    first = builder.quantize(builder.unary("SQUARE", y), out_scale=0.05, out_zero_point=-128)
    builder.output(first, builder.quantize(y, out_scale=0.02))
    graph = tabulate(load_bytes(builder.build()))
    assert [type(operator).__name__ for operator in graph.operators] == ["Table", "Table"]
    assert len(graph.fused) == 3
    compare(builder, tflm, samples=[[EVERY]])
