"""The map from a layer's distance to the trust in a sample: monotone, exact at its ends, near the real one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from operator_cases import few

from driftc.codegen.errors import ModelError
from driftc.codegen.operators.adapt.adapt_trust import AdaptTrust
from driftc.codegen.tensor import Tensor

ONE = 1 << 16
FACTOR, RIGHT = round(np.log2(math.e) * 2**14), 14


def kernel(rate: float, power: bool, rows: int = 4, shift: int = 10, largest: int = 1 << 20) -> AdaptTrust:
    return AdaptTrust(
        name="k",
        inputs=(Tensor("s", (rows,), np.dtype(np.int64)),),
        outputs=(Tensor("w", (1,), np.dtype(np.int32)),),
        table=np.tile(np.array([1 << 10, 0], np.int16), (rows, 1)),
        shift=shift,
        factor=FACTOR,
        right=RIGHT,
        rate=round(rate * 2**14),
        power=power,
        largest_sum=largest,
    )


@pytest.mark.parametrize("power", [True, False])
@pytest.mark.parametrize("rate", [0.0, 0.3, 0.9, 1.0])
def test_the_map_is_monotone_and_near_the_real_one(rate: float, power: bool) -> None:
    """Every distance up to 25 that the map can tell apart, exhaustively, and the largest."""
    steps = np.arange(0, 25 << 20, 16, dtype=np.int64)
    w = kernel(rate, power).trust(np.append(steps, 4 << 28))
    assert w.min() >= 0
    assert w[0] == ONE
    assert np.all(np.diff(w) <= 0)
    assert w[-1] == (0 if power else ONE - ((round(rate * 2**14) * ONE) >> 14))
    d = -np.expm1(-steps / 2.0**20)
    q = np.where(d > 0, np.maximum(d, 1e-9) ** rate, 0) if power else rate * d
    wide = d > 2.0**-6  # a power of a small d has a steep map, and d only 16 bits
    assert np.abs(w[:-1] / ONE - (1 - q))[wide].max() < 0.002


@few
@given(st.lists(st.integers(-(1 << 20), 1 << 20), min_size=4, max_size=4), st.booleans(), st.integers(0, 3))
def test_a_mean_further_out_is_never_trusted_more(sums: list[int], power: bool, channel: int) -> None:
    op = kernel(0.9, power)
    op.check()
    further = list(sums)
    further[channel] *= 2
    (near,), (far,) = (op.spec(np.array(given))[0] for given in (sums, further))
    assert 0 <= far <= near <= ONE


def test_constants_out_of_range_are_refused() -> None:
    for op in (kernel(0.9, True, largest=1 << 60), kernel(0.9, True, shift=0), kernel(1.1, True)):
        with pytest.raises(ModelError, match="leave the ranges"):
            op.check()
