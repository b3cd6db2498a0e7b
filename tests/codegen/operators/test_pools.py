"""AVERAGE_POOL_2D, MAX_POOL_2D and MEAN at their limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import ModelBuilder
from operator_cases import few, results, seeds
from oracle import Oracle, compare, load_bytes

from driftc.codegen.errors import ModelError


@pytest.mark.parametrize("change", [{"scale": 0.11}, {"scale": 0.1, "zero_point": 1}])
def test_pool_that_changes_the_quantisation_is_refused(change: dict[str, Any], tflm: Oracle) -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, 4, 4, 1), scale=0.1)
    y = builder.tensor("y", (1, 2, 2, 1), **change)
    options = {"StrideH": 2, "StrideW": 2, "FilterHeight": 2, "FilterWidth": 2}
    builder.operator("MAX_POOL_2D", [x], [y], "Pool2DOptions", Padding=1, **options)
    builder.output(y)
    assert not isinstance(tflm.run(builder.build(), []), list)
    with pytest.raises(ModelError, match="does not requantise here"):
        load_bytes(builder.build())


@few
@given(st.integers(1, 300), st.integers(1, 300), results(), seeds)
def test_mean_of_many(tflm: Oracle, height: int, width: int, result: dict[str, Any], seed: int) -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, height, width, 2), scale=0.1, zero_point=-20)
    builder.output(builder.mean(x, [1, 2], **result))
    compare(builder, tflm, seed)


def test_mean_of_so_many_that_the_sum_overflows_is_refused() -> None:
    builder = ModelBuilder()
    builder.output(builder.mean(builder.input("x", (1, 3000, 3000), scale=0.1), [1, 2]))
    with pytest.raises(ModelError, match="can overflow int32"):
        load_bytes(builder.build())


def test_average_of_more_than_could_be_planned_is_refused() -> None:
    builder = ModelBuilder()
    builder.output(builder.average_pool_2d(builder.input("x", (1, 4096, 4096, 1), scale=0.1), 4095))
    with pytest.raises(ModelError, match="more than a microcontroller holds"):
        load_bytes(builder.build())


def test_window_larger_than_any_image_costs_no_memory() -> None:
    builder = ModelBuilder()
    builder.output(builder.average_pool_2d(builder.input("x", (1, 1, 1, 1), scale=0.1), 4095, padding="SAME"))
    (operator,) = load_bytes(builder.build()).operators
    assert operator.spec(np.full((1, 1, 1, 1), 7, np.int8))[0].item() == 7


def test_reduction_that_changes_the_quantisation_is_refused() -> None:
    builder = ModelBuilder()
    builder.output(builder.mean(builder.input("x", (1, 4), scale=0.1), [1], code="REDUCE_MAX", out_scale=0.2))
    with pytest.raises(ModelError, match="must be quantised alike"):
        load_bytes(builder.build())


def test_index_that_is_not_int32_is_refused() -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, 4), scale=0.1)
    y = builder.tensor("y", (1,), dtype=np.int64)
    builder.operator("ARG_MAX", [x, builder.constant(1, dtype=np.int32)], [y], "ArgMaxOptions", OutputType=4)
    builder.output(y)
    with pytest.raises(ModelError, match="gives int64"):
        load_bytes(builder.build())
