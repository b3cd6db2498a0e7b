"""A model that no single RAM of its board holds is spread over several, each with a pointer of its own in C."""

from __future__ import annotations

from pathlib import Path

import pytest
from models import CalibratedBuilder

from driftc.codegen.api import compile
from driftc.codegen.errors import FitError
from driftc.simulator.engines import engine

pytest.importorskip("ortools", reason="ortools is not installed")
SRAM, CCM = 131_072, 65_536  # of the stm32f4-discovery


def residual(folder: Path, size: int) -> Path:
    """size x size x 4 images; two convolutions beside an identity, so that two tensors and some rows are live."""
    net = CalibratedBuilder(5)
    x = net.input("image", (1, size, size, 4))
    y = net.conv_2d(x, 4, 3, name="conv_1")
    y = net.conv_2d(y, 4, 3, name="conv_2")
    (folder / "wide.tflite").write_bytes(net.build(net.add(x, y, name="add")))
    return folder / "wide.tflite"


@pytest.mark.parametrize("planner", ["optimal", "greedy"])
def test_spread_over_two_rams(planner: str, tmp_path: Path) -> None:
    path = residual(tmp_path, 128)
    alone = compile(path, planner=planner, measure=False).report
    assert alone["arena_bytes"] > SRAM
    found = compile(path, planner=planner, board="stm32f4-discovery", measure=False)
    regions = {region["memory"]: region["bytes"] for region in found.report["regions"]}
    assert set(regions) == {"sram1..2", "ccm"}
    assert regions["sram1..2"] <= SRAM
    assert regions["ccm"] <= CCM
    assert "void *ram1;" in str(found.sources["wide.h"])
    if engine("host").missing() is None:
        result = found.verify(engines=["numpy", "host"], random=1, sanitize=True)
        assert result.first_difference is None, str(result.first_difference)


def test_one_ram_where_it_is_enough(tmp_path: Path) -> None:
    found = compile(residual(tmp_path, 96), board="stm32f4-discovery", measure=False).report
    assert found["regions"] == [{"name": "ram0", "bytes": found["arena_bytes"], "memory": None}]


def test_too_large_for_all_of_them(tmp_path: Path) -> None:
    with pytest.raises(FitError, match=r"exceed stm32f4-discovery's 131,072 B of sram1..2 by"):
        compile(residual(tmp_path, 240), board="stm32f4-discovery", measure=False)
