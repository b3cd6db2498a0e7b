"""Workers of a Dask cluster find what those of this machine do."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from commands import driftc, driftc_json
from float_models import skip_without
from models import residual_model

from driftc.codegen.compiled import Compiled
from driftc.codegen.lower import lower
from driftc.codegen.options import Options

skip_without("distributed", "dask")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with import_module("distributed").LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield str(cluster.scheduler_address)


def test_verify_and_simulate(address: str, tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(residual_model())
    options = Options(name="net", planner="greedy")
    Compiled(path.read_bytes(), options, lower(path, options)).write(tmp_path / "net")
    for name in ("verify", "simulate"):
        command = (name, "net", "--engine", "host", "--random", "70")
        found = driftc_json(*command, "--dask", address, cwd=tmp_path)
        assert found == driftc_json(*command, cwd=tmp_path) and found["samples"] == 73


def test_devices(address: str, tmp_path: Path) -> None:
    skip_without("sqlalchemy", "elastic")
    from simulated_fleet import fleet_of, made

    net = made(tmp_path)
    assert fleet_of(net, tmp_path, 20, workers=address) == fleet_of(net, tmp_path, 20)


def test_no_scheduler(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(residual_model())
    options = Options(name="net", planner="greedy")
    Compiled(path.read_bytes(), options, lower(path, options)).write(tmp_path / "net")
    command = ("simulate", "net", "--engine", "host", "--random", "2")
    said = driftc(*command, "--dask", "nonsense", cwd=tmp_path, code=2).stderr
    assert "--dask nonsense: is no address of a Dask scheduler" in said
    said = driftc(*command, "--dask", "tcp://127.0.0.1:9", cwd=tmp_path, code=2).stderr
    assert "--dask tcp://127.0.0.1:9: the scheduler does not answer" in said
    assert "not both" in driftc(*command, "--dask", "tcp://x:1", "--workers", "2", cwd=tmp_path, code=2).stderr
