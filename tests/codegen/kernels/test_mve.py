"""The kernels for vectors: each against the specification, under sanitizers and on the emulated Cortex-M55."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from forced_kernels import forced, layers, prove
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from operator_cases import examples

import driftc
from driftc.codegen.arithmetic import multiply_high, shift_right
from driftc.codegen.kernels import kernels
from driftc.codegen.lower import lower
from driftc.codegen.options import Options
from driftc.simulator.engines import engine

MVE = [kernel for kernel in kernels("cortex-m55") if "mve" in kernel.needs]


@pytest.fixture(scope="module")
def engines() -> list[str]:
    found = ["numpy"]
    for name in ("host", "qemu"):
        if (absent := engine(name).missing_for("cortex-m55")) is not None:
            pytest.skip(f"{name}: {absent}")
        found.append(name)
    return found


def test_kernels_for_dsp_beside_those_for_vectors(tmp_path: Path, engines: list[str]) -> None:
    """Their shared functions had the same names, and one of them was left out."""
    used = prove(20, 1, "cortex-m55", tmp_path, engines, [kernel for kernel in kernels("cortex-m55") if kernel.needs])
    assert {name.partition("/")[0] for name in used} >= {"dsp", "mve"}


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("turn", [0, 1])
def test_every_kernel(turn: int, wide: bool, tmp_path: Path, engines: list[str]) -> None:
    prove(turn + 20, turn, "cortex-m55", tmp_path, engines, MVE, wide)


def test_they_are_all_there(tmp_path: Path) -> None:
    used: set[str] = set()
    for turn in (0, 1):
        for wide in (False, True):
            (tmp_path / "layers.tflite").write_bytes(layers(turn + 20, wide))
            used |= forced(lower(tmp_path / "layers.tflite", Options(planner="greedy")), turn, MVE)[1]
    finishing = {kernel.name for kernel in MVE if not kernel.name.endswith("_sums")}  # those: tests of adaptation
    assert finishing <= used


def test_no_layer_is_slower_than_by_other_kernels(tmp_path: Path, engines: list[str]) -> None:
    path = tmp_path / "layers.tflite"
    path.write_bytes(layers(3, wide=True))
    found = []
    for core in ("cortex-m3", "cortex-m7", "cortex-m55"):
        compiled = driftc.compile(path, core=core, planner="greedy", measure=False)
        compiled.options = compiled.options.overridden(core="cortex-m55")
        compiled.measure()
        found.append({layer["name"]: layer for layer in compiled.report["layers"]})
    portable, dsp, mve = found
    slower = {
        name: (new["kernel"], new["instructions"], *others)
        for name, new in mve.items()
        if new["instructions"] > 1.03 * min(others := [old[name]["instructions"] for old in (portable, dsp)]) + 10
    }
    assert not slower
    totals = [sum(layer["instructions"] for layer in made.values()) for made in found]
    assert totals[2] < 0.7 * totals[1] < 0.7 * totals[0]


def lane(total: NDArray[np.int64], multiplier: int, shift: int, signed: bool) -> NDArray[np.int64]:
    """What VQRDMULH and VRSHL compute, with one less below zero where `signed`; no step leaves int32."""
    high = ((2 * total * multiplier + 2**31) >> 32) + (total >> 63 if signed else 0)
    assert max(abs(int(high.min())), abs(int(high.max()))) < 2**31
    return np.asarray((high + (1 << (shift - 1))) >> shift)


@pytest.mark.parametrize("shift", range(1, 32))
def test_requantisation_around_every_threshold(shift: int) -> None:
    random = np.random.default_rng(shift)
    for multiplier in [2**30, 2**30 + 1, 2**31 - 1, *random.integers(2**30, 2**31, 6).tolist()]:
        centres = np.round((np.arange(-300, 300) - 0.5) * (2.0**31 * 2**shift / multiplier)).astype(np.int64)
        ends = [2**31 - 1, 1 - 2**31]
        around = (centres[:, None] + np.arange(-4, 5)).reshape(-1)
        total = np.concatenate([around, random.integers(1 - 2**31, 2**31, 2000), np.arange(-500, 500), ends])
        total = total[np.abs(total) < 2**31]
        expected = shift_right(multiply_high(total, multiplier), shift)
        assert np.array_equal(lane(total, multiplier, shift, True), expected)
        assert np.array_equal(np.maximum(lane(total, multiplier, shift, False), 0), np.maximum(expected, 0))


@pytest.mark.slow
@examples(6, shrink=False)
@given(seed=st.integers(2, 10**6), turn=st.integers(0, 2), wide=st.booleans())
def test_any_layers(
    seed: int, turn: int, wide: bool, tmp_path_factory: pytest.TempPathFactory, engines: list[str]
) -> None:
    prove(seed, turn, "cortex-m55", tmp_path_factory.mktemp("layers"), engines, MVE, wide)
