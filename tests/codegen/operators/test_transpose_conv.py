"""TRANSPOSE_CONV where TFLite Micro alone can be asked, and what of it is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from models import ModelBuilder
from operator_cases import examples, seeds
from operator_models import transposed_convolutions
from oracle import Oracle, compare, load_bytes

from driftc.codegen.errors import ModelError


@examples(25)
@given(transposed_convolutions(fitting=False), seeds)
def test_any_size_equals_tflite_micro(tflm: Oracle, builder: ModelBuilder, seed: int) -> None:
    compare(builder, tflm, seed)


@pytest.mark.parametrize("zero", [0, 5])
def test_stride_beyond_the_kernel_equals_tflite_micro(tflm: Oracle, zero: int) -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, 2, 3, 2), scale=0.1, zero_point=zero)
    weights = np.arange(3 * 2 * 2 * 2).reshape(3, 2, 2, 2)
    builder.output(builder.transpose_conv(x, weights, [1, 2, 3], weight_scale=0.1, stride=(5, 4), out_scale=0.5))
    compare(builder, tflm)


def test_a_stride_of_zero_is_refused() -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, 2, 3, 2), scale=0.1)
    y = builder.transpose_conv(x, np.ones((3, 2, 2, 2)), weight_scale=0.1, stride=(0, 1), size=(4, 4), out_scale=0.5)
    builder.output(y)
    with pytest.raises(ModelError, match="StrideH, StrideW = 0, 1"):
        load_bytes(builder.build())
