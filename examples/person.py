"""A person detector fed row by row from a camera: the network of MLPerf Tiny's visual wake words.

    python examples/person.py vww_96_int8.tflite vww01.npz [FOLDER]        (default: build/person)

Compiles the model with `--feed rows`, records `COUNT` pictures of the .npz (`x` uint8 [n, 96, 96, 3], `y` 1 where there
is a person) as a camera would send them, and runs examples/person/main.c on them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from apps import host_program, output

import driftc

COUNT = 40


def make(model: Path, pictures: Path, folder: Path, count: int = COUNT) -> list[int]:
    """The compiled network in FOLDER/vww, FOLDER/recording.raw, and what is in its pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    driftc.compile(model, name="vww", feed="rows", measure=False).write(folder / "vww")
    with np.load(pictures) as file:
        chosen = np.linspace(0, len(file["x"]) - 1, count).astype(int)
        (folder / "recording.raw").write_bytes(file["x"][chosen].tobytes())
        return [int(label) for label in file["y"][chosen]]


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    for path in sys.argv[1:3]:
        if not Path(path).exists():
            sys.exit(f"{path}: no such file")
    default = Path(__file__).resolve().parents[1] / "build" / "person"
    model, pictures, folder = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else default
    there = make(model, pictures, folder)
    program = host_program(Path(__file__).parent / "person", folder / "vww", folder)
    said = output(program, (folder / "recording.raw").read_bytes()).split()
    for line, label in zip(said, there, strict=True):
        print(line, "" if (line == "person") == bool(label) else "(not so)")


if __name__ == "__main__":
    main()
