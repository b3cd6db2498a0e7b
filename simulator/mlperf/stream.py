"""The streaming wake word: sound goes to the device piece by piece, and when it hears the word counts.

A test is a file as mlcommons/tiny has them, benchmark/runner/sww_data_dir/*.json: WAV files, and from when to when
the word is spoken. The rules are those of its runner (README.md, "Streaming Test"): a detection from a word's
beginning until a second after its end is right, and what else is detected within a second counts once.
"""

from __future__ import annotations

import json
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftc.codegen.errors import DataError
from driftc.simulator.mlperf.client import Client
from driftc.simulator.mlperf.sound import HOP, RATE

THRESHOLD = 115  # of the output that stands for the word: what is above is a detection
TOLERANCE = DEBOUNCE = 1.0  # seconds
ALLOWED = 8  # of misses, and of false alarms, in the closed division
Interval = tuple[float, float]


@dataclass(frozen=True)
class Recording:
    path: Path
    sound: bytes  # int16, little-endian, whole pieces of HOP
    words: tuple[Interval, ...]  # seconds, in order

    @property
    def pieces(self) -> int:
        return len(self.sound) // (2 * HOP)


@dataclass(frozen=True)
class Heard:
    """Of one recording, times in seconds: words by their beginnings, false alarms."""

    file: str
    seconds: float
    true_positives: tuple[float, ...]
    false_negatives: tuple[float, ...]
    false_positives: tuple[float, ...]


def recordings(test: Path) -> list[Recording]:
    """What the file lists; the WAV files lie beside it. Raises DataError."""
    try:
        entries = json.loads(test.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{test}: cannot be read as JSON: {error}") from None
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{test}: is no list of recordings")
    return [_recording(test, number, entry) for number, entry in enumerate(entries)]


def _recording(test: Path, number: int, entry: Any) -> Recording:
    where = f"{test}: recording {number}"
    try:
        name = entry["wav_file"]
        words = tuple((float(start), float(end)) for start, end in entry["detection_windows"])
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{where}: needs wav_file, and detection_windows as a list of [start, end]") from None
    if any(not 0 <= start < end < 1e6 for start, end in words) or list(words) != sorted(words):
        raise DataError(f"{where}: detection_windows must be in order, each from an earlier to a later second")
    if not isinstance(name, str) or Path(name).name != name:
        raise DataError(f"{where}: '{name}' is no file of its folder")
    path = test.parent / name
    try:
        with wave.open(str(path), "rb") as file:
            form = file.getnchannels(), file.getsampwidth(), file.getframerate()
            sound = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise DataError(f"{where}: {path}: cannot be read as a WAV file: {error}") from None
    if form != (1, 2, RATE):
        raise DataError(
            f"{where}: {name} has {form[0]} x {8 * form[1]} bits at {form[2]} Hz; 1 x 16 at {RATE} are heard"
        )
    whole = len(sound) // (2 * HOP) * 2 * HOP
    if not whole:
        raise DataError(f"{where}: {name} is shorter than {HOP} samples")
    return Recording(path, sound[:whole], words)


def listen(
    client: Client, tests: Sequence[Recording], progress: Callable[[int, int], None] | None = None
) -> list[Heard]:
    """Each recording from its start to its end."""
    found, done, total = [], 0, sum(test.pieces for test in tests)
    for test in tests:
        client.command("stop")  # should it listen already
        client.command("start")
        detections = []
        for piece in range(test.pieces):
            activation = client.hear(test.sound[2 * HOP * piece : 2 * HOP * (piece + 1)])
            if piece and activation > THRESHOLD:  # the first marks the beginning, whatever it is
                detections.append(piece * HOP / RATE)
            done += 1
            if progress is not None:
                progress(done, total)
        client.command("stop")
        found.append(Heard(test.path.name, test.pieces * HOP / RATE, *judged(detections, test.words)))
    return found


def judged(
    detections: Sequence[float], words: Sequence[Interval]
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Words that were heard, words that were not, and false alarms."""
    left = list(detections)
    hit: list[float] = []
    missed: list[float] = []
    for start, end in words:
        right = [at for at in left if start <= at <= end + TOLERANCE]
        (hit if right else missed).append(start)
        left = [at for at in left if at not in right]
    alarms: list[float] = []
    for at in left:
        if not alarms or at > alarms[-1] + DEBOUNCE:
            alarms.append(at)
    return tuple(hit), tuple(missed), tuple(alarms)
