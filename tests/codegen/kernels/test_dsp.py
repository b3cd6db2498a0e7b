"""The kernels for some cores: each against the specification, under sanitizers and on the emulated core."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from forced_kernels import Layers, forced, layers, prove
from hypothesis import given
from hypothesis import strategies as st
from models import ModelBuilder
from numpy.typing import NDArray
from operator_cases import examples

import driftc
from driftc.codegen.arithmetic import multiply_high, shift_right
from driftc.codegen.compiled import Compiled
from driftc.codegen.kernels import kernels
from driftc.codegen.lower import lower
from driftc.codegen.options import Options
from driftc.codegen.plan.call import static_calls
from driftc.codegen.plan.check import check
from driftc.simulator.engines import engine

DSP = [kernel for kernel in kernels("cortex-m4", None) if "dsp" in kernel.needs]
NARROW = [kernel for kernel in kernels("cortex-m3") if kernel.prefers]  # for cores without it


@pytest.fixture(scope="module")
def engines() -> list[str]:
    found = ["numpy"]
    for name in ("host", "unicorn"):
        if (absent := engine(name).missing_for("cortex-m4")) is not None:
            pytest.skip(f"{name}: {absent}")
        found.append(name)
    return found


@pytest.mark.parametrize("turn", [0, 1])
@pytest.mark.parametrize(
    "core", ["cortex-m4", *(pytest.param(f"cortex-m{n}", marks=pytest.mark.slow) for n in (7, 33))]
)
def test_every_kernel(turn: int, core: str, tmp_path: Path, engines: list[str]) -> None:
    """In the form that suits the core: on M7 and M33 two words are loaded by one instruction."""
    prove(turn, turn, core, tmp_path, engines, [kernel for kernel in kernels(core, None) if "dsp" in kernel.needs])


def test_they_are_all_there(tmp_path: Path) -> None:
    used: set[str] = set()
    for turn in (0, 1):
        (tmp_path / "layers.tflite").write_bytes(layers(turn))
        used |= forced(lower(tmp_path / "layers.tflite", Options(planner="greedy")), turn, DSP)[1]
    elsewhere = {"dsp/pointwise_sums", "dsp/convolution_sums", "dsp/depthwise_sums"}  # in the tests of adaptation
    elsewhere |= {"dsp/winograd_square", "dsp/pool_sums"}  # in test_winograd, and in the tests of learning
    elsewhere |= {"dsp/convolution_gathered"}  # below
    assert {kernel.name for kernel in DSP} - used <= elsewhere


@pytest.mark.parametrize("core", ["cortex-m4", pytest.param("cortex-m7", marks=pytest.mark.slow)])
def test_windows_in_bytes(core: str, tmp_path: Path, engines: list[str]) -> None:
    made = Layers(np.random.default_rng(7), ModelBuilder())
    for padding in ("SAME", "VALID"):
        for shape, out, kernel, window in (
            ((5, 4, 8), 16, (3, 3), {}),
            ((5, 6, 4), 18, (2, 3), {"stride": 2}),
            ((7, 5, 12), 21, (2, 2), {"dilation": 2}),
            ((9, 1, 8), 17, (5, 1), {}),
            ((3, 3, 24), 16, (3, 1), {"stride": 1}),
            ((4, 4, 16), 20, (1, 1), {"stride": 2}),
        ):
            made.convolution(shape, out, kernel, padding=padding, **window)
    data = made.builder.build()
    (tmp_path / "layers.tflite").write_bytes(data)
    options = Options(core=core, planner="greedy", keep_constant=True)
    lowered = lower(tmp_path / "layers.tflite", options)
    plan, _ = forced(lowered, 0, [kernel for kernel in kernels(core) if kernel.name == "dsp/convolution_gathered"])
    check(plan)
    assert sum(call.kernel.name != "portable" for call in static_calls(plan.program)) >= 8
    found = Compiled(data, options, replace(lowered, plan=plan)).verify(engines=engines, random=2, sanitize=True)
    assert found.first_difference is None, str(found.first_difference)


def test_every_kernel_of_cores_without_dsp(tmp_path: Path, engines: list[str]) -> None:
    used = prove(3, 0, "cortex-m3", tmp_path, engines, NARROW)
    assert {kernel.name for kernel in NARROW} <= used


@pytest.mark.slow
@examples(6, shrink=False)
@given(seed=st.integers(2, 10**6), turn=st.integers(0, 2))
def test_any_layers(seed: int, turn: int, tmp_path_factory: pytest.TempPathFactory, engines: list[str]) -> None:
    prove(seed, turn, "cortex-m4", tmp_path_factory.mktemp("layers"), engines, DSP)


def test_no_layer_is_slower_than_by_portable_kernels(tmp_path: Path, engines: list[str]) -> None:
    path = tmp_path / "layers.tflite"
    path.write_bytes(layers(3))
    portable = driftc.compile(path, core="cortex-m0plus", planner="greedy", measure=False)
    portable.options = portable.options.overridden(core="cortex-m4")
    portable.measure()
    fast = driftc.compile(path, core="cortex-m4", planner="greedy", measure=True)
    known = {layer["name"]: layer["instructions"] for layer in portable.report["layers"]}
    slower = {
        layer["name"]: (layer["kernel"], layer["instructions"], known[layer["name"]])
        for layer in fast.report["layers"]
        if layer["instructions"] > 1.03 * known[layer["name"]] + 10
    }
    assert not slower
    assert fast.report["instructions"] < 0.65 * portable.report["instructions"]
    special = [layer for layer in fast.report["layers"] if layer["kernel"].startswith("dsp/")]
    assert sum(layer["instructions"] for layer in special) < 0.52 * sum(known[layer["name"]] for layer in special)


# --- the arithmetic ---


def five(total: NDArray[np.int64], multiplier: int, shift: int, zero: int, signed: bool) -> NDArray[np.int64]:
    """What the instructions of codegen/kernels/dsp/scales.py compute; no step leaves int32."""
    half = (2 * zero + 1) << (shift - 1)
    high = ((2 * total * multiplier + 2**31) >> 32) + half
    if signed:
        high = high + (total >> 63)
    assert max(abs(int(high.min())), abs(int(high.max()))) < 2**31
    return np.asarray(np.clip((high >> (shift - 1)) >> 1, -128, 127))


@pytest.mark.parametrize("shift", range(1, 24))
def test_requantisation_around_every_threshold(shift: int) -> None:
    random = np.random.default_rng(shift)
    multipliers = [2**30, 2**30 + 1, 2**31 - 2, 2**31 - 1, *random.integers(2**30, 2**31, 6).tolist()]
    for multiplier in multipliers:
        for zero in (-128, -1, 0, 127, int(random.integers(-128, 128))):
            step = 2.0**31 * 2**shift / multiplier
            centres = np.round((np.arange(-300, 300) - 0.5) * step).astype(np.int64)
            total = (centres[:, None] + np.arange(-4, 5)).reshape(-1)
            ends = [2**30 - 1, 1 - 2**30]
            total = np.concatenate([total, random.integers(1 - 2**30, 2**30, 2000), np.arange(-500, 500), ends])
            total = total[np.abs(total) < 2**30]
            expected = shift_right(multiply_high(total, multiplier), shift) + zero
            assert np.array_equal(five(total, multiplier, shift, zero, True), np.clip(expected, -128, 127))
            rectified = np.maximum(five(total, multiplier, shift, zero, False), zero)
            assert np.array_equal(rectified, np.clip(expected, zero, 127))


@pytest.mark.slow
def test_requantisation_of_every_sum_of_22_bits() -> None:
    random = np.random.default_rng(5)
    total = np.arange(-(2**21), 2**21, dtype=np.int64)
    for zero in [-128, 0, 3, 127] * 3:
        multiplier, shift = int(random.integers(2**30, 2**31)), int(random.integers(1, 24))
        expected = shift_right(multiply_high(total, multiplier), shift) + zero
        assert np.array_equal(five(total, multiplier, shift, zero, True), np.clip(expected, -128, 127))
