"""The kernel that moves the variance itself: near the real one, bounded for every sample, the C beside it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import run_c
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from operator_cases import few

from driftc.codegen.errors import ModelError
from driftc.codegen.operators.adapt.adapt_kernel import LARGEST_MULTIPLIER, LIMIT, spread
from driftc.codegen.operators.adapt.adapt_linear import COLUMNS, FARTHEST, SHRUNK, AdaptLinear, shrink
from driftc.codegen.tensor import Tensor

ONE = 1 << 16
BELIEF = 1 << 14


def kernel(
    rows: Any,
    trusted: bool,
    pixels: int = 64,
    shift: int = 20,
    largest: int = 1 << 20,
    belief: int = BELIEF,
    calm: int = 0,
) -> AdaptLinear:
    table = np.array(rows, np.int16)

    def tensor(name: str, dtype: type, count: int = len(table)) -> Tensor:
        return Tensor(name, (count,), np.dtype(dtype))

    return AdaptLinear(
        name="k",
        inputs=(tensor("s", np.int64), tensor("q", np.int64), *([tensor("w", np.int32, 1)] if trusted else [])),
        outputs=(tensor("m", np.int32), tensor("o", np.int32)),
        pixels=pixels,
        table=table,
        shift=shift,
        largest_sum=pixels * largest,
        belief=belief,
        calm=calm,
    )


def rows(draw: Any, calm: bool) -> list[int]:
    """Anything that `check` lets pass."""
    source = draw(st.integers(1, 2**15 - 1))
    int16 = st.integers(-(2**15), 2**15 - 1)
    shifts, level = draw(st.integers(0, (1 << 11) - 1)), draw(st.integers(0, 2**15 - 1))
    found = [shifts, source, draw(st.integers(0, source - 1)), level]
    found += [draw(int16), draw(int16), draw(st.integers(-500, 500)), draw(int16)]
    return [*found, draw(st.integers(0, 2**15 - 1))] if calm else found


@few
@given(st.integers(2, 32768), st.booleans(), st.integers(0, ONE), st.data())
def test_every_sample_is_defined(pixels: int, trusted: bool, w: int, data: st.DataObject) -> None:
    """Arithmetic in int64 is the arithmetic without limits, for any statistics that a layer can have."""
    largest = int((2**62 / pixels) ** 0.5) - 2
    total = data.draw(st.sampled_from([0, pixels * largest, -pixels * largest]))
    squares = data.draw(st.sampled_from([-(-total * total // pixels), pixels * largest * largest]))
    row, shift = rows(data.draw, not trusted), data.draw(st.integers(40, 61))
    calm = 0 if trusted else data.draw(st.integers(0, ONE))
    op = kernel([row], trusted, pixels, shift, largest, belief=data.draw(st.integers(0, BELIEF)), calm=calm)
    op.check()
    given = [np.array([total]), np.array([squares]), *([np.array([w])] if trusted else [])]
    ((multiplier,), (offset,)) = (array.tolist() for array in op.spec(*given))
    (variance,) = op.variance(spread(given[0], given[1], pixels), np.array([w if trusted else ONE])).tolist()
    assert 1 <= variance < 2**32
    assert 0 <= multiplier <= LARGEST_MULTIPLIER
    moved = ((total * row[6]) >> shift) - row[7] * 16
    if not trusted:
        moved = max(abs(moved) - row[8] * 32, 0) * (1 if moved > 0 else -1)
    assert abs(moved) < 2**31
    mean = row[5] * 16 + ((moved * (w if trusted else ONE)) >> 16)
    assert offset == min(max(row[4] * 8192 - ((multiplier * mean) >> 12), -LIMIT), LIMIT)
    for value in (-128, 127):
        assert -(2**31) <= value * multiplier + offset < 2**31


@few
@given(st.integers(2, 32768), st.integers(-(2**20), 2**20), st.integers(0, 2**40), st.data())
def test_without_trust_nothing_of_the_sample_is_left(pixels: int, mean: int, more: int, data: st.DataObject) -> None:
    op = kernel([rows(data.draw, calm=False)], True, pixels, shift=30)
    op.check()
    total = mean * pixels
    squares = min(mean * total + more, pixels << 40)
    none = np.array([0])
    found = [op.spec(np.array([s]), np.array([q]), none) for s, q in ((total, squares), (0, 0))]
    assert found[0] == found[1]


@few
@given(st.integers(1, 2**15 - 1), st.integers(0, 45), st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 200.0))
def test_the_multiplier_is_near_the_real_one(source: int, lift: int, belief: float, w: float, seen: float) -> None:
    """What moves the variance is rounded down to one step of the source's; the rest is within a part in 100,000."""
    known, level, right = source * 9 // 10, 30000, 24
    op = kernel([[lift + (right << 6), source, known, level, 0, 0, 0, 0]], True, belief=round(belief * BELIEF))
    op.check()
    spread, trust = min(round(seen * source * 2.0**lift), 2**61), round(w * ONE)
    (multiplier,) = op.multiplier(op.variance(np.array([spread], np.int64), np.array([trust]))).tolist()
    share = op.belief / BELIEF * trust / ONE
    real = source + share * (spread / 2.0**lift - known)
    wanted = level * 2.0 ** (30 - right) / np.sqrt(real * 256)
    steps = (share + 2.0**-8) / (source + share * (seen * source - known))  # what is rounded down, of the variance
    assert abs(multiplier - wanted) <= 0.5 + wanted * (1e-5 + steps)


def test_soft_shrinkage() -> None:
    x = np.array([-7, -3, -2, 0, 2, 3, 7])
    assert shrink(x, np.array([2])).tolist() == [-5, -1, 0, 0, 0, 1, 5]
    assert SHRUNK[-1] == "calm"
    op = kernel([[0, 1000, 900, 30000, 0, 0, 0, 0, 0]], False, calm=2048)  # half of the source's
    op.check()
    spreads = np.array([399, 400, 1400, 1401, FARTHEST + 1])
    moved = (op.variance(spreads, np.array([ONE])) - 256000) / 256
    assert moved.tolist() == [-1, 0, 0, 1, FARTHEST - 1400]


def test_constants_out_of_range_are_refused() -> None:
    good = [0, 100, 99, 30000, 0, 0, 0, 0]
    kernel([good], True).check()
    for column, value in (("shifts", 1 << 11), ("source", 0), ("spread", 100), ("level", -1), ("gain", 2**15 - 1)):
        bad = list(good)
        bad[COLUMNS.index(column)] = value
        with pytest.raises(ModelError, match="leave the ranges"):
            kernel([bad], True, shift=1, largest=1 << 24).check()
    for op in (kernel([good], True, shift=62), kernel([good], True, belief=BELIEF + 1), kernel([good], False)):
        with pytest.raises(ModelError, match="leave the ranges"):
            op.check()


PROGRAM = """
#include "driftc_adapt.h"
#include <stdio.h>
static const int16_t table[] = { %(table)s };
static const int32_t sums[] = { %(sums)s };
static const int64_t squares[] = { %(squares)s };
int main(void)
{
    driftc_wide_t wide[%(count)d], more[%(count)d];
    int32_t multiplier[%(count)d], offset[%(count)d], again[%(count)d], other[%(count)d];
    const driftc_linear_t layer = { table, %(count)d, 64, 20, %(belief)d };

    for (int c = 0; c < %(count)d; c++) {
        wide[c] = driftc_narrow(squares[c]);
        more[c] = driftc_narrow(sums[c]);
    }
    driftc_adapt_%(kind)s(&layer, sums, wide, %(last)d, multiplier, offset);
    driftc_adapt_%(kind)s_wide(&layer, more, wide, %(last)d, again, other);
    for (int c = 0; c < %(count)d; c++)
        printf("%%ld %%ld %%ld %%ld ", (long)multiplier[c], (long)offset[c], (long)again[c], (long)other[c]);
    return 0;
}
"""


@pytest.mark.parametrize("kind", ["trusted", "shrunk"])
def test_c_computes_the_same(kind: str, tmp_path: Path) -> None:
    random, count, trusted = np.random.default_rng(5), 3000, kind == "trusted"
    sums = random.integers(-(2**25), 2**25, count) >> random.integers(0, 25, count)
    squares = -(-sums * sums // 64) + (random.integers(0, 2**45, count) >> random.integers(0, 46, count))
    table = random.integers(-(2**15), 2**15, (count, 8 if trusted else 9))
    table[:, 1] = random.integers(1, 2**15, count)
    table[:, 0] = random.integers(0, 46, count) + (random.integers(0, 32, count) << 6)
    table[:, 2] = random.integers(0, table[:, 1])
    table[:, [3, -1]] = random.integers(0, 2**15, (count, 2))
    if trusted:
        table[:, 7] = random.integers(-(2**15), 2**15, count)
    last = 40000 if trusted else 700
    op = kernel(table, trusted, largest=1 << 19, belief=9000, calm=0 if trusted else last)
    op.check()
    for name in ("driftc.h", "driftc_adapt.h"):
        text = files("driftc").joinpath("firmware").joinpath(name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text)

    def listed(array: NDArray[Any]) -> str:
        return ", ".join(str(value) for value in array.ravel().tolist())

    given = {"table": listed(table), "sums": listed(sums), "squares": listed(squares), "count": count}
    (tmp_path / "main.c").write_text(PROGRAM % {**given, "kind": kind, "last": last, "belief": op.belief})
    strict = ("-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")
    found = np.array(run_c(tmp_path, ["main.c"], *strict).split(), np.int64).reshape(-1, 4)
    wanted = op.spec(sums, squares, *([np.array([last])] if trusted else []))
    assert np.array_equal(found, np.stack([*wanted, *wanted], axis=1))
