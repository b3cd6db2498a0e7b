"""README's second example: both networks are compiled and run, the plot is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import under_shift
from commands import ROOT
from float_models import needs
from keywords import utterances


def test_step_zero_is_no_shift_and_steps_go_further() -> None:
    spectra, _ = utterances(40, 1)
    moved = [
        float(np.abs(under_shift.shifted(spectra, step) - spectra).mean()) for step in range(under_shift.STEPS + 1)
    ]
    assert moved[0] == 0
    assert moved[1] < moved[2] < moved[3] < moved[4] < moved[5]


@needs("tensorflow", "keras")
@needs("matplotlib", "benchmarks")
def test_both_networks_are_run(tmp_path: Path) -> None:
    script = ROOT / "examples" / "under_shift.py"
    command = [sys.executable, str(script), str(tmp_path), "--epochs", "3", "--count", "60"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [line.split() for line in done.stdout.splitlines() if line.strip()[:1].isdigit()]
    assert [row[0] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    clean = [float(cell.rstrip("%")) for cell in rows[0][1:]]
    assert min(clean) > 60  # chance is 25
    assert (tmp_path / "under_shift.png").stat().st_size > 5000
