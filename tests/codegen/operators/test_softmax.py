"""SOFTMAX at its limits."""

from __future__ import annotations

import numpy as np
import pytest
from models import ModelBuilder
from oracle import Oracle, compare, load_bytes

from driftc.codegen.errors import ModelError


@pytest.mark.parametrize("scale", [2.0**-25, 1e-6, 15.9, 16.0, 31.0, 32.0, 1e10])
def test_scales_at_the_limits(scale: float, tflm: Oracle) -> None:
    builder = ModelBuilder()
    builder.output(builder.softmax(builder.input("x", (2, 5), scale=scale)))
    compare(builder, tflm, 1)


def test_sum_at_which_the_references_stop_gives_zero_probability() -> None:
    builder = ModelBuilder()
    builder.output(builder.softmax(builder.input("x", (1, 1000), scale=0.1)))
    (operator,) = load_bytes(builder.build()).operators
    assert np.all(operator.spec(np.zeros((1, 1000), np.int8))[0] == -128)


@pytest.mark.parametrize(
    ("depth", "scale", "beta", "problem"),
    [
        (4096, 0.1, 1.0, "too long"),
        (4, 0.1, 0.0, "too small or not a number"),
        (4, 0.1, -1.0, "too small or not a number"),
        (4, 0.1, float("nan"), "too small or not a number"),
        (4, 2.0**-26, 1.0, "too small or not a number"),
    ],
)
def test_refused(depth: int, scale: float, beta: float, problem: str) -> None:
    builder = ModelBuilder()
    builder.output(builder.softmax(builder.input("x", (1, depth), scale=scale), beta=beta))
    with pytest.raises(ModelError, match=problem):
        load_bytes(builder.build())
