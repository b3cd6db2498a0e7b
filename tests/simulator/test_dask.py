"""Workers of a Dask cluster find what those of this machine do."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import driftc, driftc_json
from float_models import skip_without
from models import residual_model
from part_work import killed

from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import ToolError
from driftc.codegen.lower import lower
from driftc.codegen.options import Options
from driftc.codegen.report import stored
from driftc.codegen.samples import Samples
from driftc.simulator.parts import cut, in_parts
from driftc.simulator.shipped import Shipped
from driftc.simulator.workers import local_cluster

skip_without("distributed", "dask")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with local_cluster() as (found, _):
        yield found


def test_verify_and_simulate(address: str, tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(residual_model())
    options = Options(name="net", planner="greedy")
    Compiled(path.read_bytes(), options, lower(path, options)).write(tmp_path / "net")
    for name in ("verify", "simulate"):
        command = (name, "net", "--engine", "host", "--random", "70")
        found = driftc_json(*command, "--dask", address, cwd=tmp_path)
        assert found == driftc_json(*command, cwd=tmp_path) and found["samples"] == 73


def test_a_folder_that_workers_do_not_have(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path here is of a folder that they find to be another's."""
    path = tmp_path / "net.tflite"
    path.write_bytes(residual_model())
    options = Options(name="net", planner="greedy")
    Compiled(path.read_bytes(), options, lower(path, options)).write(tmp_path / "net")
    net = Compiled.load(tmp_path / "net")
    alone = net.verify(random=70, engines=["numpy", "host"])
    upload = Shipped.upload

    def moved(shipped: Shipped, client: Any) -> None:
        upload(shipped, client)
        (tmp_path / "net").rename(tmp_path / "elsewhere")

    monkeypatch.setattr(Shipped, "upload", moved)
    monkeypatch.setattr(stored, "keep_verification", lambda folder, found: None)
    found = net.verify(random=70, engines=["numpy", "host"], workers=address)
    assert found == alone and found.bit_exact and found.samples == 73


def test_workers_that_are_killed(tmp_path: Path) -> None:
    """By what they are given to do, again and again: each cluster gives up on it."""
    samples = Samples([(np.zeros(1, np.int8),)], [(None,)])
    about = ["test", str(tmp_path)]
    with pytest.raises(ToolError, match="a worker process ended"):
        list(in_parts(killed, None, cut(samples, keeps_state=False), 1, about))
    import_module("distributed")  # its settings are there from then on
    with (
        import_module("dask").config.set({"distributed.scheduler.allowed-failures": 0}),
        local_cluster() as (own, _),
        pytest.raises(ToolError, match=f"--dask {own}: workers were lost"),
    ):
        list(in_parts(killed, None, cut(samples, keeps_state=False), own, about))


def test_many_devices_have_a_cluster_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    skip_without("sqlalchemy", "elastic")
    from simulated_fleet import fleet_of, made

    from driftc.simulator.fleet import run

    net = made(tmp_path)
    alone, lines = fleet_of(net, tmp_path, 5), list[str]()
    monkeypatch.setattr(run, "LARGE", 5)
    assert fleet_of(net, tmp_path, 5, say=lines.append) == alone
    assert "5 devices: by a local Dask cluster of " in lines[0]
    fleet_of(net, tmp_path, 4, say=lines.append)
    fleet_of(net, tmp_path, 5, say=lines.append, workers=1)
    monkeypatch.setattr(run, "dask_is_there", lambda: False)
    fleet_of(net, tmp_path, 5, say=lines.append)
    assert sum("Dask" in line for line in lines) == 1


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
