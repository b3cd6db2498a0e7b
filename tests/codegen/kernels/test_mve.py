"""The kernels for vectors: each against the specification, under sanitizers and on the emulated Cortex-M55."""

from __future__ import annotations

from pathlib import Path

import pytest
from forced_kernels import prove
from hypothesis import given
from hypothesis import strategies as st
from operator_cases import examples

from driftc.codegen.kernels import kernels
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


@pytest.mark.parametrize("turn", [0, 1])
def test_every_kernel(turn: int, tmp_path: Path, engines: list[str]) -> None:
    used = prove(turn + 20, turn, "cortex-m55", tmp_path, engines, MVE)
    assert {kernel.name for kernel in MVE} - used <= (
        {"mve/convolution_gathered"} if turn == 0 else {"mve/convolution"}
    )


@pytest.mark.slow
@examples(6, shrink=False)
@given(seed=st.integers(2, 10**6), turn=st.integers(0, 2))
def test_any_layers(seed: int, turn: int, tmp_path_factory: pytest.TempPathFactory, engines: list[str]) -> None:
    prove(seed, turn, "cortex-m55", tmp_path_factory.mktemp("layers"), engines, MVE)
