"""The reference models as devices, and samples as MLPerf Tiny stores them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from shared_data import shared_file

import driftc
from driftc.codegen.compiled import Compiled
from driftc.simulator.mlperf.benchmarks import benchmark
from driftc.simulator.mlperf.device import host_device

MODELS = {
    "kws01": "kws/kws_ref_model_int8",
    "vww01": "vww/vww_96_int8",
    "ic01": "ic/pretrainedResnet_quant",
    "ad01": "ad/ad01_int8",
    "sww01": "sww/str_ww_ref_model_int8",
}


def reference(name: str) -> Compiled:
    """The benchmark's reference model, compiled."""
    shared_file(f"mlperf_tiny/models/{MODELS[name]}.tflite")  # skips outside the cache
    return _reference(name)


@cache
def _reference(name: str) -> Compiled:
    model = shared_file(f"mlperf_tiny/models/{MODELS[name]}.tflite")
    compiled = driftc.compile(model, name=name, planner="greedy", measure=False)
    folder = Path(mkdtemp(prefix="driftc-")) / name
    compiled.write(folder)
    return Compiled.load(folder)


@contextmanager
def device(name: str) -> Iterator[str]:
    """The reference model as a device on a pty: the port's name."""
    pytest.importorskip("serial")
    with host_device(reference(name).program(), benchmark(name)) as (port, _):
        yield port


def write_samples(folder: Path, rows: Sequence[tuple[bytes, str]]) -> Path:
    """`rows`: a sample's bytes, and what y_labels.csv says behind its name."""
    folder.mkdir(exist_ok=True)
    lines = []
    for number, (data, label) in enumerate(rows):
        (folder / f"{number:04}.bin").write_bytes(data)
        lines.append(f"{number:04}.bin,{label}\n")
    (folder / "y_labels.csv").write_text("".join(lines))
    return folder
