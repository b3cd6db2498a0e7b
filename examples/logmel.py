"""Log-mel spectra of one second of sound at 8 kHz, in NumPy: what a keyword spotter looks at.

Level is kept: nothing is normalised by the utterance. Frames of 32 ms every 20 ms, Hann window, triangular bands on
the mel scale, natural logarithm of the mean power in the band over `FLOOR`, which is about what a microphone's own
noise leaves. White noise of variance v gives ln v in every band.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

RATE = 8000  # Hz
FRAME, HOP, FRAMES, BANDS = 256, 160, 49, 20
SAMPLES = FRAME + HOP * (FRAMES - 1)  # of one utterance: 0.992 s
LOWEST = 60.0  # Hz, where the first band begins; the last ends at RATE / 2
FLOOR = 1e-7  # of power, full scale being 1: -70 dB

Sound = NDArray[np.float32]  # [n, SAMPLES], full scale is -1..1


def logmel(sound: Sound) -> NDArray[np.float32]:
    """float32 [n, FRAMES, BANDS, 1] of float [n, SAMPLES]."""
    window = np.hanning(FRAME + 1)[:-1]
    starts = np.arange(FRAMES)[:, None] * HOP + np.arange(FRAME)
    frames = np.asarray(sound, np.float32)[:, starts] * window.astype(np.float32)
    power = np.abs(np.fft.rfft(frames)) ** 2 / (window**2).sum()
    return np.asarray(np.log(power @ filters().T + FLOOR)[..., None], np.float32)


@cache
def filters() -> NDArray[np.float64]:
    """[BANDS, FRAME // 2 + 1]: the share of each frequency in each band, adding up to 1."""
    edges = _hertz(np.linspace(_mel(LOWEST), _mel(RATE / 2), BANDS + 2))
    frequencies = np.fft.rfftfreq(FRAME, 1 / RATE)
    rising = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(np.minimum(rising, falling), 0)
    return np.asarray(triangles / triangles.sum(axis=1, keepdims=True))


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(700 * (10 ** (mel / 2595) - 1))
