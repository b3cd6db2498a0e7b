"""What fast kernels keep for themselves costs little of the RAM that the portable ones need."""

from __future__ import annotations

from pathlib import Path

import pytest
from shared_data import shared_file

from driftc.codegen.api import compile
from driftc.simulator.engines import engine

SLACK = 1024  # bytes
# Arenas of portable kernels: untiled, and the least within 15 % more time.
ARENAS = {
    "ic/pretrainedResnet_quant": (33_308, 14_080),
    "kws/kws_ref_model_int8": (8_384, 5_228),
    "vww/vww_96_int8": (36_868, 27_748),
    "sww/str_ww_ref_model_int8": (3_620, 3_620),
    "ad/ad01_int8": (764, 764),
}


def model(name: str) -> Path:
    return shared_file(f"mlperf_tiny/models/{name}.tflite")


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
@pytest.mark.parametrize("name", ARENAS)
def test_arenas(name: str, core: str) -> None:
    pytest.importorskip("ortools", reason="ortools is not installed")
    path, (untiled, least) = model(name), ARENAS[name]
    assert compile(path, core=core, measure=False).report["arena_bytes"] <= untiled + SLACK
    assert compile(path, core=core, measure=False, ram=least).report["arena_bytes"] <= least
    found = compile(path, core=core, measure=False, minimize="ram").report
    assert found["arena_bytes"] <= least + SLACK
    assert found["tiling"]["extra_cycles"] <= 0.25


@pytest.mark.parametrize(("core", "name"), [("cortex-m4", "unicorn"), ("cortex-m55", "qemu")])
def test_little_scratch(core: str, name: str) -> None:
    """ResNet-8's deepest layers have windows of a pixel alone in scratch, in rows with all others."""
    engines = ["numpy", "host", name]
    for each in engines[1:]:
        if (absent := engine(each).missing_for(core)) is not None:
            pytest.skip(f"{each}: {absent}")
    compiled = compile(model("ic/pretrainedResnet_quant"), core=core, planner="greedy", measure=False, minimize="ram")
    kernels = {layer["kernel"] for layer in compiled.report["layers"]}
    assert kernels & {"dsp/convolution_gathered", "mve/convolution_single"}
    assert compiled.report["arena_bytes"] == 14_656
    assert compiled.verify(engines=engines, random=1, sanitize=True).first_difference is None


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
def test_rows_that_arrive(core: str) -> None:
    """Portable kernels need 4,848 bytes where keyword spotting's input comes row by row."""
    if (absent := engine("host").missing_for(core)) is not None:
        pytest.skip(f"host: {absent}")
    compiled = compile(model("kws/kws_ref_model_int8"), core=core, planner="greedy", measure=False, feed="rows")
    assert compiled.report["arena_bytes"] <= 4_848 + SLACK
    assert any(not layer["kernel"].startswith("portable") for layer in compiled.report["layers"])
    assert compiled.verify(engines=["numpy", "host"], random=1, sanitize=True).first_difference is None
