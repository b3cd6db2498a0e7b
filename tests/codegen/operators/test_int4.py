"""Weights of int4, two a byte in the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from models import ModelBuilder
from operator_cases import examples, seeds
from operator_models import MODELS
from oracle import Oracle, compare, load_bytes

import driftc
from driftc.codegen.errors import ModelError
from driftc.codegen.operators.convolution.fully_connected import FullyConnected


@pytest.mark.parametrize("code", ["conv_2d", "depthwise_conv_2d"])
@examples(10)
@given(st.data(), seeds)
def test_equals_tflite_micro(tflm: Oracle, code: str, data: st.DataObject, seed: int) -> None:
    builder = data.draw(MODELS[code])
    builder.with_int4()
    compare(builder, tflm, seed)


@examples(10)
@given(st.data(), seeds)
def test_dense_layer_of_one_scale_equals_tflite_micro(tflm: Oracle, data: st.DataObject, seed: int) -> None:
    builder = data.draw(MODELS["fully_connected"])
    builder.with_int4()
    (operator,) = load_bytes(builder.build()).operators
    assert isinstance(operator, FullyConnected)
    assume(operator.quantization.scale.size == 1)
    compare(builder, tflm, seed)


@examples(10)
@given(st.data(), seeds)
def test_dense_layer_equals_litert(litert: Oracle, data: st.DataObject, seed: int) -> None:
    """TFLite Micro refuses it where each channel has a scale."""
    builder = data.draw(MODELS["fully_connected"])
    builder.with_int4()
    assume(not any(operator.litert_undefined for operator in load_bytes(builder.build()).operators))
    compare(builder, litert, seed)


def test_compiled(tmp_path: Path) -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, 5, 4, 3), scale=0.1, zero_point=-3)
    weights = np.arange(-128, 7, dtype=np.int64).astype(np.int8)
    y = builder.conv_2d(x, weights.reshape(5, 3, 3, 3), None, weight_scale=[0.01] * 5, out_scale=0.2)
    builder.output(builder.fully_connected(y, weights[:100].reshape(1, 100), None, weight_scale=0.02, out_scale=0.5))
    builder.with_int4()
    path = tmp_path / "m.tflite"
    path.write_bytes(builder.build())
    assert driftc.compile(path, measure=False).verify(engines=["host"], random=2).bit_exact


def test_int4_elsewhere_is_refused() -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, 4), scale=0.1)
    y = builder.constant(np.ones((1, 4), np.int8), scale=0.1)
    builder.output(builder.add(x, y, out_scale=0.2))
    builder.tensors[y.index] = replace(y, int4=True)
    with pytest.raises(ModelError, match="reads int4 values"):
        load_bytes(builder.build())
