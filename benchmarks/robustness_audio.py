"""Accuracy under shift, sound: noise, rooms, microphones, levels and voices unseen; by the compiled C.

    python benchmarks/robustness_audio.py [--utterances 300] [--severity 5] [--split dev|table]
                                          [--methods none,fixed,...] [--out build/robustness_audio]

The network is that of examples/ds_cnn_fsdd.py: four speakers of FSDD, log-mel spectra with their level. Of the takes
that were held out, the even ones are `dev`, for tuning, the odd ones `table`. Clean sets: `takes`, those of the four
speakers; `unseen`, two speakers who were not trained on; `unseen_noise`, these with pink noise 10 dB below.
Calibration: the utterances that were trained on.

Shifts act on the waveform, before the front end: samples of 16 bits that clip. Each utterance has a generator of its
own; signal to noise is of the recorded part. Needs the extras keras, sim and benchmarks, and DRIFTC_DATA.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import driftc

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))  # the network lives there

import ds_cnn_fsdd
from ds_cnn_fsdd import UNSEEN, Utterances
from logmel import RATE, logmel

DATA = Path(os.environ.get("DRIFTC_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
FILE = "fsdd/fsdd_8k_int16.npz"
SPLITS = {"dev": 0, "table": 1}  # takes are even, or odd
METHODS = ("none", "fixed", "iabn", "lean", "calibrated")
CLEAN = ("takes", "unseen", "unseen_noise")
VOICES = 6  # of babble

Sound = NDArray[np.float64]  # [SAMPLES], full scale is -1..1
Spectra = NDArray[np.float32]  # [n, frames, bands, 1]
Random = np.random.Generator
Right = NDArray[np.bool_]


# --- the data ---


@dataclass(frozen=True)
class Sets:
    """Spectra and labels by name; `calibration` has no labels. `raw`: the waveforms of `takes`, to be shifted."""

    test: dict[str, tuple[Spectra, NDArray[np.int64]]]
    raw: Utterances
    calibration: Spectra


@cache
def recordings() -> Utterances:
    return ds_cnn_fsdd.load(DATA / FILE)


def load(split: str, count: int) -> Sets:
    """`count` utterances of the split at random, the same every time, and as many of unseen speakers."""
    every = recordings()
    mine = every.take % 2 == SPLITS[split]
    new = np.isin(every.speaker, UNSEEN)
    takes, unseen = (
        every[np.random.default_rng(0).permutation(np.flatnonzero(mine & chosen))[:count]]
        for chosen in (~new & (every.take < ds_cnn_fsdd.HELD_OUT), new)
    )
    test = {
        "takes": (logmel(takes.sound), takes.digit),
        "unseen": (logmel(unseen.sound), unseen.digit),
        "unseen_noise": (corrupted(unseen, "pink", 3), unseen.digit),
    }
    return Sets(test, takes, logmel(ds_cnn_fsdd.trained_on(every).sound))


def model(folder: Path) -> Path:
    """The trained .keras file, made once and kept in `folder`."""
    path = folder / "ds_cnn.keras"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        ds_cnn_fsdd.trained(ds_cnn_fsdd.trained_on(recordings())).save(path)
    return path


# --- the shifts ---


def corrupted(raw: Utterances, kind: str, severity: int, seed: int = 0) -> Spectra:
    """What the network sees of the utterances with shift `kind` at `severity` 1..5."""
    function, levels = KINDS[kind]
    found = np.empty_like(raw.sound)
    for number, (sound, speech) in enumerate(zip(raw.sound, raw.speech, strict=True)):
        random = np.random.default_rng((seed, severity, number))
        spare = (len(sound) - speech) // 2
        power = float(np.mean(sound[spare : spare + speech].astype(np.float64) ** 2))
        shifted = function(sound.astype(np.float64), random, levels[severity - 1], power)
        found[number] = np.clip(np.rint(shifted * 32768), -32768, 32767) / 32768
    return logmel(found)


def _beside(x: Sound, noise: Sound, decibels: float, power: float) -> Sound:
    """`noise` so many decibels below the speech of this `power`."""
    return np.asarray(x + noise * np.sqrt(power * 10 ** (-decibels / 10) / np.mean(noise**2)))


def _white(x: Sound, random: Random, decibels: float, power: float) -> Sound:
    return _beside(x, random.normal(size=len(x)), decibels, power)


def _pink(x: Sound, random: Random, decibels: float, power: float) -> Sound:
    """Power falls as 1 / f above 50 Hz."""
    frequencies = np.fft.rfftfreq(len(x), 1 / RATE)
    spectrum = np.fft.rfft(random.normal(size=len(x))) / np.sqrt(np.maximum(frequencies, 50.0))
    return _beside(x, np.fft.irfft(spectrum, len(x)), decibels, power)


@cache
def _talk() -> list[Sound]:
    """What was trained on, without the silence around it, all equally loud."""
    every = ds_cnn_fsdd.trained_on(recordings())
    spare = (every.sound.shape[1] - every.speech) // 2
    parts = [s[a : a + n].astype(np.float64) for s, a, n in zip(every.sound, spare, every.speech, strict=True)]
    return [part / np.sqrt(np.mean(part**2)) for part in parts]


def _babble(x: Sound, random: Random, decibels: float, power: float) -> Sound:
    """Other people talk, each without a pause."""
    talk = _talk()
    voices = np.zeros(len(x))
    for _ in range(VOICES):
        words: list[Sound] = []
        while sum(map(len, words)) < 2 * len(x):
            words.append(talk[int(random.integers(len(talk)))])
        start = int(random.integers(len(x)))
        voices += np.concatenate(words)[start : start + len(x)]
    return _beside(x, voices, decibels, power)


def _clicks(x: Sound, random: Random, decibels: float, power: float) -> Sound:
    """Twelve taps a second at random, each of noise that decays within 10 ms or so."""
    taps = np.zeros(len(x))
    for _ in range(12):
        start, decay = int(random.integers(len(x) - 1)), RATE * random.uniform(0.002, 0.01)
        after = np.arange(len(x) - start)
        taps[start:] += random.normal(size=len(after)) * np.exp(-after / decay)
    return _beside(x, taps, decibels, power)


def _reverb(x: Sound, random: Random, seconds: float, power: float) -> Sound:
    """A room: noise that decays by 60 dB in `seconds` behind the direct sound, which is as strong as all of it."""
    time = np.arange(int(RATE * seconds)) / RATE
    response = random.normal(size=len(time)) * 10 ** (-3 * time / seconds)
    response[: RATE // 500] = 0  # nothing comes back within 2 ms
    response /= np.sqrt(np.sum(response**2))
    size = 1 << (len(x) + len(response)).bit_length()
    tail = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(response, size), size)[: len(x)]
    return x + np.asarray(tail)


def _telephone(x: Sound, random: Random, band: tuple[float, float], power: float) -> Sound:
    from scipy.signal import butter, sosfilt

    return np.asarray(sosfilt(butter(4, band, "bandpass", fs=RATE, output="sos"), x))


def _muffled(x: Sound, random: Random, hertz: float, power: float) -> Sound:
    """A cover over the microphone: 12 dB an octave are lost above `hertz`."""
    from scipy.signal import butter, sosfilt

    return np.asarray(sosfilt(butter(2, hertz, fs=RATE, output="sos"), x))


def _gain(x: Sound, random: Random, decibels: float, power: float) -> Sound:
    return x * 10 ** (decibels / 20)


def _lost(x: Sound, random: Random, share: float, power: float) -> Sound:
    """`share` of the packets of 20 ms do not arrive: silence in their place."""
    packets = np.arange(len(x)) // (RATE // 50)
    return np.where((random.random(packets[-1] + 1) < share)[packets], 0.0, x)


def _beeps(x: Sound, random: Random, decibels: float, power: float) -> Sound:
    """An alarm: a tone and two of its harmonics, on for half of the time."""
    time = np.arange(len(x)) / RATE
    pitch, every = random.uniform(300, 1200), random.uniform(0.1, 0.4)
    phases = (pitch * n * time + random.random() for n in (1, 2, 3))
    tone = np.sum([np.sin(2 * np.pi * phase) / n for n, phase in enumerate(phases, 1)], axis=0)
    return _beside(x, tone * ((time / every + random.random()) % 1 < 0.5), decibels, power)


def _pitch(x: Sound, random: Random, share: float, power: float) -> Sound:
    """Played faster by `share`, or slower, about the middle: higher and shorter, or lower and longer."""
    speed = (1 + share) ** random.choice((-1, 1))
    middle = (len(x) - 1) / 2
    at = np.arange(len(x))
    return np.asarray(np.interp(middle + (at - middle) * speed, at, x, left=0.0, right=0.0))


NOISE = (20.0, 15.0, 10.0, 5.0, 0.0)  # dB, signal to noise
KINDS: dict[str, tuple[Callable[..., Sound], tuple[Any, ...]]] = {
    "white": (_white, NOISE),
    "pink": (_pink, NOISE),
    "babble": (_babble, NOISE),
    "clicks": (_clicks, NOISE),
    "reverb": (_reverb, (0.2, 0.4, 0.6, 0.9, 1.3)),
    "telephone": (_telephone, ((150, 3700), (200, 3400), (300, 3000), (400, 2500), (500, 2000))),
    "muffled": (_muffled, (2500, 1800, 1300, 900, 600)),
    "quiet": (_gain, (-6, -12, -18, -24, -30)),
    "loud": (_gain, (6, 12, 18, 24, 30)),
    "beeps": (_beeps, NOISE),
    "pitch": (_pitch, (0.08, 0.16, 0.24, 0.32, 0.4)),
    "lost": (_lost, (0.1, 0.2, 0.3, 0.4, 0.5)),
}
OTHERS = ("beeps", "pitch", "lost")
AUGMENTED = tuple(kind for kind in KINDS if kind not in OTHERS)  # kinds near those that are fitted on


# --- the driver ---


def compiled(method: str, sets: Sets, folder: Path) -> driftc.Compiled:
    """The network with `method`, made once and kept in `folder`."""
    place = folder / method
    if not place.is_dir():
        path = model(folder)
        data = folder / "calibration.npz"
        np.savez(data, x=sets.calibration)
        how: dict[str, Any] = {} if method == "none" else {"adapt": method}
        how |= {"augment": "spectrum"} if method == "calibrated" else {}
        driftc.compile(path, calibrate=data, name="digits", planner="greedy", measure=False, **how).write(place)
    return driftc.Compiled.load(place)


def right(made: driftc.Compiled, sets: dict[str, tuple[Spectra, NDArray[np.int64]]], folder: Path) -> dict[str, Right]:
    """Which utterances of each set the C classifies rightly; all in one run, since each run builds the program."""
    data = folder / "asked.npz"
    np.savez(data, x=np.concatenate([x for x, _ in sets.values()]))
    found = made.simulate(data, engine="host")
    chosen = np.array([int(np.argmax(output[0].reshape(-1))) for output in found.outputs])
    ends = np.cumsum([len(y) for _, y in sets.values()])
    parts = np.split(chosen, ends[:-1])
    return {name: part == y for part, (name, (_, y)) in zip(parts, sets.items(), strict=True)}


def reduction(source: Right, adapted: Right) -> tuple[float, float]:
    """Relative error reduction over [kinds, utterances] and its standard error, utterances being what is drawn."""
    before, after = 1.0 - source.mean(axis=0), 1.0 - adapted.mean(axis=0)
    ratio = after.mean() / before.mean()
    spread = np.std(after - ratio * before, ddof=1) / np.sqrt(len(before)) / before.mean()
    return float(1 - ratio), float(spread)


@click.command()
@click.option("--utterances", default=300, show_default=True, help="Of the split, for each kind.")
@click.option("--severity", type=click.IntRange(1, 5), default=5, show_default=True)
@click.option("--split", type=click.Choice(sorted(SPLITS)), default="dev", show_default=True)
@click.option("--methods", default=",".join(METHODS), show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/robustness_audio"), show_default=True)
def main(utterances: int, severity: int, split: str, methods: str, out: Path) -> None:
    sets = load(split, utterances)
    labels = sets.raw.digit
    asked = sets.test | {kind: (corrupted(sets.raw, kind, severity), labels) for kind in KINDS}
    table = Table(box=None, pad_edge=False, title=f"{split}, {len(labels)} utterances a kind, severity {severity}")
    for column in ("method", "accuracy", "error reduction", f"{len(OTHERS)} not augmented", *CLEAN, *KINDS):
        table.add_column(column, justify="left" if column == "method" else "right")
    source: dict[str, Right] = {}
    for method in methods.split(","):
        found = right(compiled(method, sets, out), asked, out)
        source = found if method == "none" else source
        gains = []
        for kinds in (tuple(KINDS), OTHERS):
            known = source and method != "none"
            pair = [np.stack([answers[kind] for kind in kinds]) for answers in (source, found)] if known else []
            gains.append("{:.1%} ± {:.1%}".format(*reduction(*pair)) if pair else "-")
        shares = {name: float(values.mean()) for name, values in found.items()}
        mean = float(np.mean([shares[kind] for kind in KINDS]))
        table.add_row(method, f"{mean:.1%}", *gains, *(f"{shares[name]:.1%}" for name in (*CLEAN, *KINDS)))
    Console(width=200).print(table)


if __name__ == "__main__":
    main()
