"""README's third example: two words are learnt, four are held, the plot is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from commands import ROOT
from float_models import needs


@needs("matplotlib", "benchmarks")
def test_two_words_are_learnt(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "new_word.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [line.split() for line in done.stdout.splitlines() if line.strip()[:1].isdigit()]
    assert [row[0] for row in rows] == ["0", "8", "16", "24", "32", "40"]
    old, new = ([float(row[column].rstrip("%")) for row in rows] for column in (1, 2))
    assert old[0] == 100 and new[0] == 0
    assert min(old) > 90 and new[-1] > 90
    assert (tmp_path / "new_word.png").stat().st_size > 5000
