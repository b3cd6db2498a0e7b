"""A keyword spotter from microphone samples to words, whole: front end, network, program; heard from a recorded file.

    python examples/spotter.py [FOLDER]        (default: build/spotter)

Makes the network (that of keywords.py, with a fifth class for all that is no word) and a recording, compiles the
network, and runs examples/spotter/main.c on the recording. Nothing in it is particular to this machine: apps.py builds
the same program for a board's core.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from apps import host_program, output
from keywords import BANDS, TRACKS, WORDS, keyword_spotter, whistled
from logmel import FRAMES, RATE, SAMPLES, logmel, tables
from numpy.typing import NDArray

import driftc

NAMES = (*WORDS, "nothing")
SPOKEN = 6 * tuple(range(len(WORDS)))  # in the recording, one every two seconds
GAP = 2 * RATE
SOURCES = ("main.c",)


def windows(count: int, seed: int) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """A second each of a word, nearly whole, or of nothing: noise, or less than two thirds of a word."""
    random = np.random.default_rng(seed)
    word = random.integers(0, len(WORDS), count)
    late = np.where(random.random(count) < 0.5, random.uniform(0, 0.15, count), random.uniform(0.4, 1.1, count))
    late *= np.where(random.random(count) < 0.5, 1, -1)
    frames = np.arange(FRAMES) / (FRAMES - 1)
    tracks = 1 + 7 * TRACKS[word] + random.normal(scale=0.4, size=(count, 1))
    moved = [np.interp(frames - by, frames, track, left=-9, right=-9) for by, track in zip(late, tracks, strict=True)]
    return whistled(np.array(moved), random), np.where(abs(late) < 0.2, word, len(WORDS))


def recording(seed: int) -> NDArray[np.int16]:
    """`SPOKEN`, one every two seconds, over one noise."""
    random = np.random.default_rng(seed)
    every = np.full((len(SPOKEN), FRAMES), -9.0)
    sound = np.zeros(GAP * (len(SPOKEN) + 1), np.float64) + random.normal(scale=100, size=GAP * (len(SPOKEN) + 1))
    for number, word in enumerate(SPOKEN):
        every[number] = 1 + 7 * TRACKS[word] + random.normal(scale=0.3)
    for number, word in enumerate(whistled(every, random)):
        sound[GAP * number + RATE : GAP * number + RATE + SAMPLES] += word
    return np.clip(np.rint(sound), -32768, 32767).astype(np.int16)


def make(folder: Path) -> Path:
    """The compiled network in FOLDER/kws and what main.c includes beside it, and FOLDER/recording.raw."""
    folder.mkdir(parents=True, exist_ok=True)
    known, labels = windows(1500, seed=1)
    spectra = logmel(known / 32768, BANDS)
    (folder / "kws.tflite").write_bytes(keyword_spotter(examples=(spectra, labels), classes=len(NAMES)))
    driftc.compile(folder / "kws.tflite", class_names=NAMES, measure=False).write(folder / "kws")
    (folder / "driftc_logmel_tables.h").write_text(tables(BANDS), encoding="utf-8")
    (folder / "recording.raw").write_bytes(recording(seed=2).astype("<i2").tobytes())
    return folder


def main() -> None:
    default = Path(__file__).resolve().parents[1] / "build" / "spotter"
    folder = make(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
    program = host_program(Path(__file__).parent / "spotter", folder / "kws", folder)
    print(output(program, (folder / "recording.raw").read_bytes()), end="")


if __name__ == "__main__":
    main()
