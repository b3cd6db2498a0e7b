"""The kernels for vectors: each against the specification, under sanitizers and on the emulated Cortex-M55."""

from __future__ import annotations

from pathlib import Path

import pytest
from forced_kernels import forced, layers, prove
from hypothesis import given
from hypothesis import strategies as st
from operator_cases import examples

import driftc
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
    assert {kernel.name for kernel in MVE} <= used


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
    assert totals[2] < 0.6 * totals[1] < 0.6 * totals[0]


@pytest.mark.slow
@examples(6, shrink=False)
@given(seed=st.integers(2, 10**6), turn=st.integers(0, 2), wide=st.booleans())
def test_any_layers(
    seed: int, turn: int, wide: bool, tmp_path_factory: pytest.TempPathFactory, engines: list[str]
) -> None:
    prove(seed, turn, "cortex-m55", tmp_path_factory.mktemp("layers"), engines, MVE, wide)
