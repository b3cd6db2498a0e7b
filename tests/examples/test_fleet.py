"""The fleet of the example: cameras get worse, a round goes through a folder and through a broker, there is a plot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from brokers import Mosquitto
from commands import ROOT
from float_models import skip_without

skip_without("tensorflow", "keras")
skip_without("sqlalchemy", "elastic")
skip_without("matplotlib", "plot")

import fleet  # noqa: E402

SHORT = ("--rounds", "1", "--epochs", "1", "--uploads", "6")


def test_each_camera_is_worse_than_the_one_before() -> None:
    images, labels = fleet.drawn(60, 1)
    assert set(labels.tolist()) == set(range(len(fleet.SHAPES)))
    away = [float(np.abs(fleet.seen(images, n).astype(float) - images).mean()) for n in range(fleet.DEVICES)]
    assert away[0] == 0 and away == sorted(set(away))


@pytest.mark.slow
def test_a_round_through_a_folder_and_one_through_a_broker(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    broker.start()
    try:
        for more in ([], ["--broker", broker.address]):
            script = ROOT / "examples" / "fleet.py"
            command = [sys.executable, str(script), str(tmp_path / "fleet"), *SHORT, *more]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
            assert done.returncode == 0, done.stderr[-2000:]
            assert "server: round 1: 60 uploads of all" in done.stdout
            rows = [line for line in done.stdout.splitlines() if line.strip().startswith(("as compiled", "round"))]
            assert len(rows) == 2 and all(row.count("%") == fleet.DEVICES + 1 for row in rows)
            assert (tmp_path / "fleet" / "fleet.png").stat().st_size > 5000
    finally:
        broker.stop()
