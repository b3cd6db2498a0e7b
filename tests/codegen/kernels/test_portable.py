"""The arithmetic of portable kernels: driftc.h's requantisation, compiled for this machine, is TFLite Micro's."""

from __future__ import annotations

import ctypes
import sys
from importlib.resources import files

import numpy as np
import pytest
from numpy.typing import NDArray

from driftc.codegen.arithmetic import multiply_high, shift_right
from driftc.simulator.toolchain import host_compiler

SOURCE = """
#include "driftc.h"
void requantise(const int32_t *sum, int8_t *out, int count, int32_t multiplier, int shift, int32_t zero, int32_t low,
                int32_t high);
void requantise(const int32_t *sum, int8_t *out, int count, int32_t multiplier, int shift, int32_t zero, int32_t low,
                int32_t high)
{
    for (int i = 0; i < count; i++)
        out[i] = driftc_to_int8(sum[i], multiplier, shift, zero, low, high);
}
"""
LARGEST = 2**29 - 1


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    if sys.platform == "win32":
        pytest.skip("the library is built for POSIX")
    folder = tmp_path_factory.mktemp("requantise")
    (folder / "driftc.h").write_text((files("driftc.firmware") / "driftc.h").read_text())
    (folder / "requantise.c").write_text(SOURCE)
    flags = ["-std=c11", "-O2", "-shared", "-fPIC"]
    host_compiler().run([*flags, "requantise.c", "-o", "requantise.so"], folder)
    return ctypes.CDLL(str(folder / "requantise.so"))


def computed(
    library: ctypes.CDLL, sums: NDArray[np.int64], scale: tuple[int, int], zero: int, bounds: tuple[int, int]
) -> NDArray[np.int8]:
    given, out = np.ascontiguousarray(sums, np.int32), np.empty(len(sums), np.int8)
    numbers = map(ctypes.c_int32, (len(sums), *scale, zero, *bounds))
    library.requantise(given.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p), *numbers)
    return out


@pytest.mark.parametrize("shift", range(1, 31))
def test_requantisation_around_every_threshold(shift: int, library: ctypes.CDLL) -> None:
    random = np.random.default_rng(shift)
    for multiplier in [0, 2**30, 2**30 + 1, 2**31 - 2, 2**31 - 1, *random.integers(2**30, 2**31, 6).tolist()]:
        step = 2.0**31 * 2**shift / max(multiplier, 1)
        centres = np.clip(np.round((np.arange(-300, 300) - 0.5) * step), -LARGEST, LARGEST).astype(np.int64)
        sums = (centres[:, None] + np.arange(-4, 5)).reshape(-1)
        ends = [LARGEST, -LARGEST]
        sums = np.concatenate([sums, random.integers(-LARGEST, LARGEST, 2000), np.arange(-500, 500), ends])
        sums = sums[np.abs(sums) <= LARGEST]
        for zero in (-128, -1, 0, 127, int(random.integers(-128, 128))):
            expected = shift_right(multiply_high(sums, multiplier), shift) + zero
            for low, high in ((-128, 127), (zero, 127), (zero, max(zero, 40)), (-77, 33), (-128, -128)):
                given = computed(library, sums, (multiplier, shift), zero, (low, high))
                assert np.array_equal(given, np.clip(expected, low, high))


@pytest.mark.slow
def test_requantisation_of_every_sum_of_22_bits(library: ctypes.CDLL) -> None:
    random = np.random.default_rng(5)
    sums = np.arange(-(2**21), 2**21, dtype=np.int64)
    for zero in [-128, 0, 3, 127] * 3:
        multiplier, shift = int(random.integers(2**30, 2**31)), int(random.integers(1, 24))
        expected = shift_right(multiply_high(sums, multiplier), shift) + zero
        for low in (-128, zero):
            given = computed(library, sums, (multiplier, shift), zero, (low, 127))
            assert np.array_equal(given, np.clip(expected, low, 127))
