"""The main job, from nothing: make a small keyword spotter, compile it to C, prove the C, run it on labelled data.

python examples/quickstart.py [FOLDER]        (default: build/quickstart)
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from keywords import BANDS, keyword_spotter, sounds
from logmel import logmel

DRIFTC = Path(sys.executable).with_name("driftc")  # of the environment that runs this file
STEPS = (
    ("compile", "kws.tflite", "--board", "nucleo-l4r5zi"),
    ("verify", "kws"),
    ("simulate", "kws", "--data", "kws.npz", "--engine", "host"),
)


def make(folder: Path) -> None:
    """kws.tflite, and kws.npz with the spectra `x` of 200 words and their labels `y`."""
    folder.mkdir(parents=True, exist_ok=True)
    known, labels = sounds(400, seed=1)
    (folder / "kws.tflite").write_bytes(keyword_spotter(examples=(logmel(known / 32768, BANDS), labels)))
    tests, labels = sounds(200, seed=2)
    np.savez(folder / "kws.npz", x=logmel(tests / 32768, BANDS), y=labels)


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "build" / "quickstart"
    print(f"in {folder}: kws.tflite and kws.npz", flush=True)
    make(folder)
    for step in STEPS:
        print(f"\n$ driftc {' '.join(step)}", flush=True)
        code = subprocess.run([DRIFTC, *step], cwd=folder, check=False).returncode
        if code != 0:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
