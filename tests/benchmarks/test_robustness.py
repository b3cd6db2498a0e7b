"""Worker processes of the benchmark on robustness: the same answers for any number of them, none of them twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmark_modules import benchmark_module
from float_models import needs
from shared_data import shared_file

from driftc.codegen.errors import DriftcError


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("cifar10/test_jpeg.npz", "cifar10/train4000_lossless.npz", "mlperf_tiny/ic01/ic01.npz"):
        shared_file(name)
    shared_file("mlperf_tiny/models/ic/pretrainedResnet_quant.tflite")
    with benchmark_module(monkeypatch, "work", "robustness") as found:
        yield found


@needs("PIL", "benchmarks")
@needs("scipy", "benchmarks")
def test_workers(work: Any, tmp_path: Path) -> None:
    alone = work.Work("resnet8-folded", "dev", 6, 0, "all", (), tmp_path, tmp_path / "1")
    cells = [work.Cell("none", *which) for which in (("jpeg", 0), ("contrast", 5), ("brightness", 3))]
    steps = list(work.each_of(alone, cells, 1))
    assert [step[1:] for step in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]  # the model, and the cells
    answers = [np.load(alone.kept(cell)) for cell in cells]
    assert all(found.shape == (6,) for found in answers)
    assert (answers[0] == alone.task().base[2]).mean() > 0.5, "a network that classifies"
    two = replace(alone, folder=tmp_path / "2")
    list(work.each_of(two, cells, 2))
    for cell, found in zip(cells, answers, strict=True):
        assert two.kept(cell).read_bytes() == alone.kept(cell).read_bytes()
        assert np.array_equal(np.load(two.kept(cell)), found)
    kept = {cell: two.kept(cell).stat().st_mtime_ns for cell in cells}
    two.kept(cells[1]).unlink()  # where a run was cut
    assert [step[1:] for step in work.each_of(two, cells, 2)] == [(3, 3)]
    assert np.array_equal(np.load(two.kept(cells[1])), answers[1])
    assert all(two.kept(cell).stat().st_mtime_ns == kept[cell] for cell in (cells[0], cells[2]))
    assert list(work.each_of(two, cells, 2)) == []


@needs("PIL", "benchmarks")
@needs("scipy", "benchmarks")
def test_what_a_worker_refuses_is_said(work: Any, tmp_path: Path) -> None:
    asked = work.Work("resnet8-folded", "dev", 6, 0, "all", (), tmp_path, tmp_path / "1")
    with pytest.raises(DriftcError, match="nonsense"):
        list(work.each_of(asked, [work.Cell("nonsense", "jpeg", 0)], 1))
    with pytest.raises(ValueError, match="calibrated has no NONSENSE"):
        work.tuned(("NONSENSE=1",))
