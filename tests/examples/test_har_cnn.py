"""The example for motion: its split keeps people and times apart, and what it trains stays live in every layer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import har_cnn
import numpy as np
import pytest
from commands import ROOT
from float_models import needs
from shared_data import shared_file

from driftc.codegen.api import compile

pytestmark = pytest.mark.shared_data
FILE = "uci_har/uci_har_test.npz"


def halves(windows: har_cnn.Windows) -> set[bytes]:
    """Neighbouring windows share one."""
    return {half.tobytes() for half in windows.x.reshape(len(windows.x) * 2, -1)}


def test_split_keeps_people_and_times_apart() -> None:
    every = har_cnn.load(shared_file(FILE))
    before, after = har_cnn.split(every)
    assert set(before.subject) == set(after.subject) == set(har_cnn.SUBJECTS)
    assert set(before.subject) < set(every.subject)
    assert set(before.y) == set(after.y) == set(every.y)
    assert not halves(before) & halves(after)
    assert len(before.y) > 3 * len(after.y) > 600


@needs("tensorflow", "keras")
@pytest.mark.filterwarnings("ignore")
def test_it_learns_and_every_normalisation_stays_live(tmp_path: Path) -> None:
    windows = shared_file(FILE)
    model = tmp_path / "har.keras"
    script = ROOT / "examples" / "har_cnn.py"
    done = subprocess.run(
        [sys.executable, script, windows, model, "--epochs", "3"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    before, after = har_cnn.split(har_cnn.load(windows))
    np.savez(tmp_path / "train.npz", x=before.x[::40])
    np.savez(tmp_path / "later.npz", x=after.x[::4], y=after.y[::4])
    made = compile(model, calibrate=tmp_path / "train.npz", adapt="fixed", planner="greedy", measure=False)
    made.write(tmp_path / "har")
    live = json.loads((tmp_path / "har" / "adaptation.json").read_text())["layers"]
    assert len(live) == len(har_cnn.CHANNELS)
    found = made.simulate(tmp_path / "later.npz", engine="host")
    right = [int(np.argmax(one[0])) == label for one, label in zip(found.outputs, after.y[::4], strict=True)]
    assert np.mean(right) > 0.5  # of six activities
