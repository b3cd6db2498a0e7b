"""Sound: noise, rooms, microphones, levels and voices unseen.

The network is that of examples/ds_cnn_fsdd.py: four speakers of FSDD, log-mel spectra with their level. Of the takes
that were held out, the even ones are `dev`, for tuning, the odd ones `table`. Clean sets: `takes`, those of the four
speakers; `unseen`, two speakers who were not trained on; `unseen_noise`, these with pink noise 10 dB below.
Calibration: the utterances that were trained on.

Shifts act on the waveform, before the front end: samples of 16 bits that clip. Each utterance has a generator of its
own; signal to noise is of the recorded part.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from task import DATA, Task

sys.path.append(str(Path(__file__).resolve().parents[2] / "examples"))  # behind ours, for names are the same

import ds_cnn_fsdd
from ds_cnn_fsdd import UNSEEN, Utterances
from logmel import RATE, logmel

FILE = "fsdd/fsdd_8k_int16.npz"
SPLITS = {"dev": 0, "table": 1}  # takes are even, or odd
VOICES = 6  # of babble

Sound = NDArray[np.float64]  # [SAMPLES], full scale is -1..1
Spectra = NDArray[np.float32]  # [n, frames, bands, 1]
Random = np.random.Generator


# --- the data ---


@cache
def recordings() -> Utterances:
    return ds_cnn_fsdd.load(DATA / FILE)


def load(model: Path, split: str, count: int) -> Task:
    """`count` utterances of the split at random, the same every time, and as many of unseen speakers."""
    every = recordings()
    mine = every.take % 2 == SPLITS[split]
    new = np.isin(every.speaker, UNSEEN)
    takes, unseen = (
        every[np.random.default_rng(0).permutation(np.flatnonzero(mine & chosen))[:count]]
        for chosen in (~new & (every.take < ds_cnn_fsdd.HELD_OUT), new)
    )
    return Task(
        model=model,
        calibration=logmel(ds_cnn_fsdd.trained_on(every).sound),
        clean={
            "takes": (logmel(takes.sound), takes.digit),
            "unseen": (logmel(unseen.sound), unseen.digit),
            "unseen_noise": (corrupted(unseen, "pink", 3), unseen.digit),
        },
        shifted=lambda kind, severity: corrupted(takes, kind, severity),
        kinds=tuple(KINDS),
        augmented=AUGMENTED,
        augment="spectrum",
    )


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
