"""The sweep over shapes runs, and counts each layer by every kind of kernel."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT

from driftc.simulator.engines import engine


@pytest.mark.parametrize(("core", "counter"), [("cortex-m4", "unicorn"), ("cortex-m55", "qemu")])
def test_quick(core: str, counter: str, tmp_path: Path) -> None:
    if (absent := engine(counter).missing_for(core)) is not None:
        pytest.skip(f"{counter}: {absent}")
    command = [sys.executable, str(ROOT / "benchmarks" / "kernels"), "--quick", "--core", core]
    command += ["--family", "dense", "--family", "add", "--csv", str(tmp_path / "sweep.csv")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"{core}: 6 worst of 6" in done.stdout
    with (tmp_path / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["family"] for row in rows] == ["dense"] * 3 + ["add"] * 3
    kinds = ["portable", "dsp"] if core == "cortex-m4" else ["portable", "dsp", "mve"]
    for row in rows:
        if row["family"] == "dense":
            length, channels = (int(part) for part in row["layer"].removeprefix("dense ").split(" > "))
            assert int(row["macs"]) == length * channels
            assert int(row["outputs"]) == channels
        counts = [int(row[kind]) for kind in kinds]
        assert min(counts) > 0
        assert counts[-1] <= 1.03 * counts[0] + 65  # what qemu's clock leaves open
    assert any(row["kernel"].startswith(f"{kinds[-1]}/") for row in rows)
