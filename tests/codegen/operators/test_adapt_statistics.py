"""The kernel of adaptation at the ends of its ranges: exact sums, no overflow, every sample defined."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from operator_cases import few

from driftc.codegen.errors import ModelError
from driftc.codegen.operators.adapt.adapt_kernel import LIMIT, spread
from driftc.codegen.operators.adapt.adapt_statistics import AdaptStatistics
from driftc.codegen.tensor import Tensor

INT32 = st.integers(-(2**31), 2**31 - 1)


def kernel(rows: list[list[int]], pixels: int, largest: int, shift: int, wide: bool) -> AdaptStatistics:
    def tensor(name: str, dtype: type) -> Tensor:
        return Tensor(name, (len(rows),), np.dtype(dtype))

    return AdaptStatistics(
        name="k",
        inputs=(tensor("s", np.int64 if wide else np.int32), tensor("q", np.int64)),
        outputs=(tensor("m", np.int32), tensor("o", np.int32)),
        pixels=pixels,
        table=np.array(rows, np.int32),
        power=20 << 24,
        shift=shift,
        largest_sum=largest,
    )


@few
@given(st.integers(2, 32768), st.data())
def test_spread_is_n_times_the_variance_rounded_up(pixels: int, data: st.DataObject) -> None:
    largest = int((2**62 / pixels) ** 0.5) - 2
    total = data.draw(st.integers(-pixels * largest, pixels * largest))
    least = -(-total * total // pixels)
    squares = data.draw(st.integers(least, pixels * largest * largest))
    (found,) = spread(np.array([total], np.int64), np.array([squares], np.int64), pixels).tolist()
    assert found == ceil(squares - Fraction(total * total, pixels))


@few
@given(st.integers(2, 32768), st.tuples(INT32, INT32, INT32), st.integers(0, 61), st.data())
def test_every_sample_is_defined(pixels: int, others: tuple[int, ...], floor: int, data: st.DataObject) -> None:
    """Arithmetic in int64 is the arithmetic without limits, for any statistics that a layer can have."""
    largest = int((2**62 / pixels) ** 0.5) - 2
    total = data.draw(st.sampled_from([0, pixels * largest, -pixels * largest]))
    squares = data.draw(st.sampled_from([-(-total * total // pixels), pixels * largest * largest]))
    level, most = data.draw(st.integers(1 - 2**29, 2**29 - 1)), min((2**62 - 1) // (pixels * largest), 2**31 - 1)
    gain, shift = data.draw(st.integers(-most, most)), data.draw(st.integers(1, 61))
    decay, base, centre = others
    op = kernel([[level, decay & ~63 | floor, base, centre, gain]], pixels, pixels * largest, shift, wide=True)
    op.check()
    multiplier, offset = op.spec(np.array([total]), np.array([squares]))
    assert 0 <= int(multiplier[0]) <= 1 << 23
    mean = min(max(centre + ((total * gain + (1 << (shift - 1))) >> shift), -(2**31)), 2**31 - 1)
    exact = base - ((int(multiplier[0]) * mean) >> 16)
    assert int(offset[0]) == min(max(exact, -LIMIT), LIMIT)
    for value in (-128, 127):
        assert -(2**31) <= value * int(multiplier[0]) + int(offset[0]) < 2**31


def test_no_variance_uses_the_floor() -> None:
    level, decay = 3 << 20, 1 << 28
    op = kernel([[level, decay | 20, 5 << 17, 0, 0]], 64, 1000, 1, wide=False)
    multiplier, offset = op.spec(np.array([64], np.int32), np.array([64], np.int64))
    assert multiplier.tolist() == [8 << 16]  # 2^(3 - (20 - 20))
    assert offset.tolist() == [5 << 17]


def test_constants_out_of_range_are_refused() -> None:
    for rows, shift in (
        ([[0, 62, 0, 0, 0]], 1),
        ([[2**29, 0, 0, 0, 0]], 1),
        ([[0, 0, 0, 0, 2**31 - 1]], 1),
        ([[0] * 5], 0),
    ):
        with pytest.raises(ModelError, match="leave the ranges"):
            kernel(rows, 64, 2**32, shift, wide=False).check()
