"""log2, exp2, 1/sqrt in fixed point: their errors, exhaustively, and the C beside them, value by value."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
from commands import run_c
from numpy.typing import NDArray

from driftc.codegen.operators.adapt.adapt_kernel import spread
from driftc.codegen.operators.elementwise.powers import (
    EXP2_KNOTS,
    EXPONENT_FRACTION,
    LOG2_KNOTS,
    LOG_FRACTION,
    ONE,
    ROOT_KNOTS,
    exp2,
    log2,
    root,
)

KNOT = 1 << 24
LOG, EXPONENT = 1 << LOG_FRACTION, 1 << EXPONENT_FRACTION


def test_knots_are_the_functions() -> None:
    at = np.arange(17) / 16
    assert np.array_equal(LOG2_KNOTS, np.rint(np.log2(1 + at) * KNOT))
    assert np.array_equal(EXP2_KNOTS, np.rint(np.exp2(at) * KNOT))
    assert np.array_equal(ROOT_KNOTS, np.rint(2**30 / np.sqrt(np.arange(8, 33) / 32)))


def test_log2_is_within_its_error() -> None:
    """Every mantissa of 20 bits, with the bits below it 0, 1 and anything, at four magnitudes."""
    mantissa = (1 << 20) + np.arange(1 << 20, dtype=np.int64)
    anything = np.random.default_rng(0).integers(0, 1 << 11, mantissa.size)
    for x in (mantissa, mantissa << 11, (mantissa << 11) + 2047, (mantissa << 11) + anything, mantissa << 41):
        assert np.abs(log2(x) / LOG - np.log2(x.astype(np.float64))).max() <= 0.0000055
    small = np.arange(1, 1 << 20, dtype=np.int64)
    assert np.abs(log2(small) / LOG - np.log2(small)).max() <= 0.0000055
    largest = np.array([1 << 62, 2**63 - 1], np.int64)  # what no float64 tells apart from its neighbours
    assert log2(largest)[0] == 62 * LOG
    assert 0 <= 63 * LOG - log2(largest)[1] <= 2


def test_log2_is_monotone_and_exact_at_powers_of_two() -> None:
    x = np.arange(1, 1 << 18, dtype=np.int64)
    assert np.all(np.diff(log2(x)) >= 0)
    assert log2(np.int64(1) << np.arange(63)).tolist() == [n * LOG for n in range(63)]


def test_exp2_is_within_its_error_everywhere() -> None:
    x = np.arange(-19 * EXPONENT, 8 * EXPONENT, dtype=np.int64)
    found, exact = exp2(x) / ONE, np.minimum(np.exp2(x / EXPONENT), 128.0)
    assert np.all(np.diff(found) >= 0)
    assert np.all(np.abs(found - exact) <= exact * 0.000001 + 2.0**-17)
    assert exp2(np.arange(-16, 8, dtype=np.int64) * EXPONENT).tolist() == [1 << (n + 16) for n in range(-16, 8)]
    assert exp2(np.array([-(2**31), -(1 << 30), 1 << 30], np.int64)).tolist() == [0, 0, 128 * ONE]


def test_root_is_within_its_error() -> None:
    """Mantissas of 20 bits at both parities, the bits below it 0, 1 and anything; small integers and powers of 4."""
    mantissa = (1 << 20) + np.arange(1 << 20, dtype=np.int64)
    anything = np.random.default_rng(0).integers(0, 1 << 11, mantissa.size)
    small = np.arange(1, 1 << 20, dtype=np.int64)
    for x in (small, mantissa, mantissa << 1, mantissa << 11, (mantissa << 11) + 2047, (mantissa << 11) + anything):
        found, halved = root(x)
        assert found.min() >= 1 << 29
        assert found.max() <= 1 << 30
        assert np.abs(found / 2.0**29 * np.exp2(halved - 16.0) * np.sqrt(x) - 1).max() <= 0.000003
    found, halved = root(np.int64(4) ** np.arange(16))
    assert found.tolist() == [1 << 30] * 16
    assert halved.tolist() == list(range(15, -1, -1))


PROGRAM = """
#include "driftc_adapt.h"
#include <stdio.h>
int main(void)
{
    uint32_t hash = 0;
    for (int32_t x = -25000000; x < 8000000; x += 13)
        hash = hash * 31u + (uint32_t)driftc_exp2(x);
    printf("%lu ", (unsigned long)hash);
    hash = 0;
    for (uint64_t x = 1; x < 300000; x++)
        hash = hash * 31u + (uint32_t)driftc_log2(x);
    for (int shift = 0; shift < 63; shift++) {
        const uint64_t one = (uint64_t)1 << shift;

        for (uint64_t x = 0; x < 64; x++)
            hash = hash * 31u + (uint32_t)driftc_log2(one + (x * 0x123456789ABCDEFu & (one - 1)));
    }
    printf("%lu ", (unsigned long)hash);
    hash = 0;
    for (int32_t pixels = 2; pixels < 40; pixels++) {
        for (int32_t sum = -3000; sum < 3000; sum += 7) {
            hash = hash * 31u + (uint32_t)driftc_spread(sum * 1000, (int64_t)9000000 * 1000000, pixels);
            hash = hash * 31u + (uint32_t)driftc_spread_wide(sum * 1000, (int64_t)9000000 * 1000000, pixels);
        }
    }
    printf("%lu", (unsigned long)hash);
    return 0;
}
"""


def hashed(*parts: NDArray[np.int64]) -> int:
    value = 0
    for number in np.concatenate(parts).tolist():
        value = (value * 31 + number) & 0xFFFFFFFF
    return value


def test_c_computes_the_same(tmp_path: Path) -> None:
    firmware = files("driftc").joinpath("firmware")
    for name in ("driftc.h", "driftc_adapt.h"):
        (tmp_path / name).write_text(firmware.joinpath(name).read_text(encoding="utf-8"))
    (tmp_path / "main.c").write_text(PROGRAM)
    strict = ("-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")
    found = [int(number) for number in run_c(tmp_path, ["main.c"], *strict).split()]
    mixed = [
        (1 << shift) + (x * 0x123456789ABCDEF & 0xFFFFFFFFFFFFFFFF & ((1 << shift) - 1))
        for shift in range(63)
        for x in range(64)
    ]
    logs = hashed(log2(np.arange(1, 300000)), log2(np.array(mixed, np.int64)))
    sums = np.arange(-3000, 3000, 7) * 1000
    spreads = [np.repeat(spread(sums, np.full(sums.shape, 9 * 10**12), pixels), 2) for pixels in range(2, 40)]
    assert found == [hashed(exp2(np.arange(-25000000, 8000000, 13))), logs, hashed(*spreads)]
