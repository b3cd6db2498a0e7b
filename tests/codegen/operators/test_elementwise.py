"""ADD, SUB and MUL against TFLite Micro and LiteRT: broadcasting, constants, fused activations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import ModelBuilder
from operator_cases import activations, few, inputs, results, scales, seeds, shapes, zero_points
from oracle import Oracle, compare, load_bytes

from driftc.codegen.errors import ModelError

codes = st.sampled_from(["add", "sub", "mul"])


@st.composite
def pairs(draw: st.DrawFn) -> ModelBuilder:
    """Two operands of shapes that fit each other, either of which may be constant."""
    builder = ModelBuilder()
    shape = draw(shapes(1, 6, 4))
    thin = tuple(draw(st.sampled_from([1, extent])) for extent in shape)
    thin = thin[draw(st.integers(0, len(thin))) :]
    other = draw(st.sampled_from([shape, thin]))
    a = draw(inputs(builder, shape))
    if draw(st.booleans()):
        random = np.random.default_rng(draw(seeds))
        data = random.integers(-128, 128, other, dtype=np.int8)
        b = builder.constant(data, scale=draw(scales), zero_point=draw(zero_points))
    else:
        b = draw(inputs(builder, other, "y"))
    operands = [a, b] if draw(st.booleans()) else [b, a]
    operator = getattr(builder, draw(codes))
    builder.output(operator(*operands, activation=draw(activations), **draw(results())))
    return builder


@few
@given(pairs(), seeds)
def test_equals_tflite_micro(tflm: Oracle, builder: ModelBuilder, seed: int) -> None:
    compare(builder, tflm, seed)


@few
@given(pairs(), seeds)
def test_equals_litert(litert: Oracle, builder: ModelBuilder, seed: int) -> None:
    compare(builder, litert, seed)


@few
@given(st.sampled_from(["add", "sub"]), scales, scales, st.floats(0.5, 2.0), zero_points)
def test_sum_whose_ties_tell_float32_from_float64(
    tflm: Oracle, code: str, a: float, b: float, ratio: float, zero: int
) -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, 256, 1), scale=a)
    y = builder.input("y", (1, 1, 256), scale=b, zero_point=zero)
    builder.output(getattr(builder, code)(x, y, out_scale=max(a, b) * ratio))
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
