"""What the streaming wake word's network looks at: log-mel features of sound at 16 kHz, in whole numbers.

The definition is that of mlcommons/tiny, training/streaming_wakeword/get_dataset.py ("lfbe"): pre-emphasis, frames of
64 ms every 32 ms, Hamming window, power spectrum, 40 triangular bands on the mel scale, (10 log10 + 52) / 64 within
0..1; quantised towards zero, as its reference firmware does. This is the specification of
firmware/ports/mlperf_sound.h, which gives the same bytes from the same samples: nothing is rounded but the window,
the transform's products and the logarithm.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.simulator.cache import cached, digest

RATE, FRAME, HOP, BANDS = 16_000, 1024, 512, 40
EMPHASIS_BITS = 5  # 32 * (x[n] - 31/32 * x[n - 1])
TURN_BITS = 30  # of fraction, of the transform's factors
POWER_SHIFT, WEIGHT_BITS = 16, 12
LOG_BITS, LOG_STEPS = 16, 32  # of the logarithm's table: fraction of its values, entries
# log2 of what a sum of weighted powers is of the definition's: that divides by FRAME, and full scale is 1, not 2**15.
UNIT = WEIGHT_BITS - POWER_SHIFT + 10 + 2 * (15 + EMPHASIS_BITS)
DECIBELS, OFFSET, RANGE = 3.010299956639812, 52.0, 64.0  # the first is 10 log10(2)

Integers = NDArray[Any]


@dataclass(frozen=True)
class Quantised:
    """From log2 of a band's sum, LOG_BITS of fraction, to the input's value: 32 bits of fraction."""

    slope: int  # 16 bits of fraction
    offset: int
    zero: int

    @classmethod
    def of(cls, scale: float, zero: int) -> Quantised:
        """Of the input's scale, a float32, and zero point. The C has the same expressions, in double."""
        slope = DECIBELS / RANGE / scale * (1 << 16)
        return cls(int(slope), int(((OFFSET - UNIT * DECIBELS) / RANGE / scale + zero) * (1 << 32)), zero)


def features(sound: Integers, to: Quantised) -> NDArray[np.int8]:
    """int8 [frames, BANDS] of samples within 16 bits, [HOP * frames]; before the first there is silence."""
    count = len(sound) // HOP
    padded = np.concatenate([np.zeros(FRAME - HOP + 1, np.int64), np.asarray(sound[: count * HOP], np.int64)])
    starts = np.arange(count)[:, None] * HOP + np.arange(FRAME + 1)
    found = np.zeros((count, BANDS), np.int8)
    for row, start in zip(found, starts, strict=True):
        samples = padded[start]
        emphasised = (samples[1:] << EMPHASIS_BITS) - samples[:-1] * ((1 << EMPHASIS_BITS) - 1)
        row[:] = _quantise(_energies(emphasised * window() + (1 << 14) >> 15), to)
    return found


def _energies(frame: Integers) -> Integers:
    """[BANDS]: sums of weighted powers."""
    re, im = _transformed(frame)
    power = (re * re + im * im) >> POWER_SHIFT
    values, starts, lengths = weights()
    ends = np.cumsum(lengths)
    return np.array(
        [
            int(power[start : start + length] @ values[end - length : end])
            for start, length, end in zip(starts, lengths, ends, strict=True)
        ]
    )


def _transformed(frame: Integers) -> tuple[Integers, Integers]:
    """The transform at 0 .. FRAME / 2: radix 2, decimation in time; every value fits into 32 bits."""
    re, im = frame[_order()], np.zeros(FRAME, np.int64)
    half = 1
    while half < FRAME:
        (a, b), (c, d) = (part.reshape(-1, 2, half).transpose(1, 0, 2) for part in (re, im))
        cos, sin = (part[:: FRAME // 2 // half] for part in turns())
        x = b * cos + d * sin + (1 << TURN_BITS - 1) >> TURN_BITS
        y = d * cos - b * sin + (1 << TURN_BITS - 1) >> TURN_BITS
        re, im = (np.stack(pair, axis=1).reshape(-1) for pair in ((a + x, a - x), (c + y, c - y)))
        half *= 2
    return re[: FRAME // 2 + 1], im[: FRAME // 2 + 1]


def _quantise(energy: Integers, to: Quantised) -> Integers:
    """Towards zero; what is below the range, or above int8, becomes the nearest that is not."""
    value = _log2(np.maximum(energy, 1)) * to.slope + to.offset
    whole = np.where(value < 0, -(-value >> 32), value >> 32)
    return np.asarray(np.clip(whole, to.zero, 127))


def _log2(value: Integers) -> Integers:
    """LOG_BITS of fraction; linear between the entries of the table."""
    exponent = np.array([int(one).bit_length() - 1 for one in value])
    shifted = np.where(exponent >= 16, value >> np.maximum(exponent - 16, 0), value << np.maximum(16 - exponent, 0))
    fraction = shifted & 0xFFFF
    at, rest = fraction >> 11, fraction & 0x7FF
    table = logarithms()
    return np.asarray((exponent << LOG_BITS) + table[at] + ((table[at + 1] - table[at]) * rest >> 11))


@cache
def _order() -> Integers:
    return np.array([int(f"{n:010b}"[::-1], 2) for n in range(FRAME)])


@cache
def window() -> Integers:
    """[FRAME], 15 bits of fraction."""
    return np.rint(np.hamming(FRAME) * 32768).astype(np.int64)


@cache
def turns() -> tuple[Integers, Integers]:
    """Cosines and sines of 2 pi n / FRAME, n below FRAME / 2."""
    angles = 2 * np.pi * np.arange(FRAME // 2) / FRAME
    cos, sin = (np.rint(part * (1 << TURN_BITS)).astype(np.int64) for part in (np.cos(angles), np.sin(angles)))
    return cos, sin


@cache
def weights() -> tuple[Integers, Integers, Integers]:
    """Of all bands one after the other, WEIGHT_BITS of fraction; where each band begins, and how many it has."""
    mel = 1127 * np.log1p(np.arange(FRAME // 2 + 1) * (RATE / FRAME) / 700)
    edges = np.linspace(0, mel[-1], BANDS + 2)
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bands = np.maximum(0, np.minimum((mel - lower) / (centre - lower), (upper - mel) / (upper - centre)))
    bands[:, 0] = 0  # as tf.signal.linear_to_mel_weight_matrix leaves the constant part out
    inside = [np.flatnonzero(band > 0) for band in bands]
    starts = np.array([found[0] for found in inside])
    lengths = np.array([found[-1] - found[0] + 1 for found in inside])
    values = [band[start : start + length] for band, start, length in zip(bands, starts, lengths, strict=True)]
    return np.rint(np.concatenate(values) * (1 << WEIGHT_BITS)).astype(np.int64), starts, lengths


@cache
def logarithms() -> Integers:
    """[LOG_STEPS + 1]: log2(1 + n / LOG_STEPS), LOG_BITS of fraction."""
    exact = np.log2(1 + np.arange(LOG_STEPS + 1) / LOG_STEPS) * (1 << LOG_BITS)
    return np.asarray(np.rint(exact).astype(np.int64))


def tables() -> Path:
    """The tables as C, a file of driftc's cache that mlperf_sound.h includes."""
    (cos, sin), (values, starts, lengths) = turns(), weights()
    arrays = (
        ("uint16_t", "window", window()), ("int32_t", "cosines", cos), ("int32_t", "sines", sin),
        ("uint16_t", "weights", values), ("uint16_t", "starts", starts), ("uint16_t", "lengths", lengths),
        ("int32_t", "logarithms", logarithms()),
    )  # fmt: skip
    text = "".join(
        f"static const {kind} sound_{name}[{len(data)}] = {{{','.join(map(str, data.tolist()))}}};\n"
        for kind, name, data in arrays
    )
    name = "mlperf_tables.h"

    def write(kept: Path) -> None:
        (kept / name).write_text(text, encoding="ascii")

    return cached(digest([text]), name, write)
