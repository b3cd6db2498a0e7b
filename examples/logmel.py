"""Log-mel spectra of one second of sound at 8 kHz, in fixed point: what a keyword spotter looks at.

Level is kept: nothing is normalised by the utterance. Frames of 32 ms every 20 ms, Hann window, triangular bands on
the mel scale, natural logarithm of the mean power in the band over `FLOOR`, which is about what a microphone's own
noise leaves. White noise of variance v gives ln v in every band.

This is the specification of firmware/driftc_logmel.h, which gives the same integers from the same samples; its tables
are made here (`tables`). A frame is shifted to 13 bits, so that quiet ones keep their precision; the Fourier transform
is one of 128 complex values of 16 bits, which halves at each of its seven steps; powers have 32 bits, bands 64.
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE = 8000  # Hz
FRAME, HOP, FRAMES, BANDS = 256, 160, 49, 20
SAMPLES = FRAME + HOP * (FRAMES - 1)  # of one utterance: 0.992 s
LOWEST = 60.0  # Hz, where the first band begins; the last ends at RATE / 2
FLOOR = 1e-7  # of power, full scale being 1: -70 dB

POINTS = FRAME // 2  # complex values: even samples are real parts, odd ones imaginary
PEAK_BITS = 13  # of a frame's largest sample, after it is shifted
UNIT = 1024  # features are integers, this many to 1
WEIGHT_BITS = 16  # of a band's weights
LOG_BITS, LOG_STEPS = 16, 32  # of the logarithm's table: fraction of its values, entries

Sound = NDArray[np.float32]  # [n, SAMPLES], full scale is -1..1
Integers = NDArray[Any]  # int32 where no intermediate result is longer, else int64
Complex = tuple[Integers, Integers]


def logmel(sound: NDArray[np.floating[Any]], bands: int = BANDS) -> NDArray[np.float32]:
    """float32 [n, FRAMES, bands, 1] of float [n, SAMPLES], which is rounded to 16 bits first."""
    samples = np.clip(np.rint(np.asarray(sound, np.float64) * 32768), -32768, 32767).astype(np.int64)
    return np.asarray(features(samples, bands)[..., None] / UNIT, np.float32)


def features(samples: Integers, bands: int = BANDS) -> Integers:
    """int [n, frames, bands], UNIT to 1, of int [n, samples] within 16 bits."""
    count = (samples.shape[1] - FRAME) // HOP + 1
    starts = np.arange(count)[:, None] * HOP + np.arange(FRAME)
    # Utterance by utterance: a frame's intermediate results are many times its size.
    found = np.zeros((len(samples), count, bands), np.int64)
    for one, spectrum in zip(samples, found, strict=True):
        spectrum[:] = _frames(one[starts], bands)
    return found


def _frames(frames: Integers, bands: int) -> Integers:
    """int [n, bands] of int [n, FRAME]."""
    left = _shift(frames)
    product = frames.astype(np.int32) * window()
    down = (15 - left)[:, None].astype(np.int32)
    windowed = (product + (1 << down >> 1)) >> down
    power = _powers(_transformed((windowed[:, 0::2], windowed[:, 1::2])))
    energy = power @ weights(bands).T + (_floor_units() << 2 * (left + 2))[:, None]
    # A unit of `energy` is 2**-(32 + 2 * left) / sum(window**2) of power.
    log2 = _log2(energy) - (((32 + 2 * left) << LOG_BITS) + _log2_window())[:, None]
    return np.asarray((log2 * round(np.log(2) * 65536) + (1 << 21)) >> 22)


def _shift(frames: Integers) -> Integers:
    """[n]: by how many bits to the left each frame's largest sample has PEAK_BITS; -2..PEAK_BITS."""
    spread = np.bitwise_or.reduce(frames ^ (frames >> 15), axis=1)  # as many bits as the largest, if not its value
    return np.array([PEAK_BITS - int(bits).bit_length() for bits in spread], np.int64)


def _transformed(z: Complex) -> Complex:
    """The transform over POINTS, divided by POINTS, in the order of `order`: radix 4 three times, then radix 2."""
    re, im = z
    size = POINTS
    while size >= 4:
        re, im = _radix4(re.reshape(len(re), -1, 4, size // 4), im.reshape(len(im), -1, 4, size // 4), size)
        size //= 4
    pairs = re.reshape(len(re), -1, 2), im.reshape(len(im), -1, 2)
    (a, b), (c, d) = ((part[..., 0], part[..., 1]) for part in pairs)
    re, im = (np.stack([(first + second) >> 1, (first - second) >> 1], axis=-1) for first, second in ((a, b), (c, d)))
    return re.reshape(len(re), -1), im.reshape(len(im), -1)


def _radix4(re: Integers, im: Integers, size: int) -> Complex:
    """[n, groups, 4, size / 4]; divided by 4, each half towards minus infinity: of 13 bits, no sum has more than 16."""
    (r0, r1, r2, r3), (i0, i1, i2, i3) = (np.moveaxis(part, 2, 0) for part in (re, im))
    ar, ai, br, bi = r0 + r2, i0 + i2, r0 - r2, i0 - i2
    cr, ci, dr, di = r1 + r3, i1 + i3, r1 - r3, i1 - i3
    outputs = [
        (((ar + cr) >> 1) >> 1, ((ai + ci) >> 1) >> 1),
        ((br + di) >> 1, (bi - dr) >> 1),  # b - j d
        ((ar - cr) >> 1, (ai - ci) >> 1),
        ((br - di) >> 1, (bi + dr) >> 1),  # b + j d
    ]
    c, s = twiddles(size)
    for power in (1, 2, 3):
        re, im = outputs[power]
        outputs[power] = _turned(re, im, c[power - 1], s[power - 1])
    return np.stack([re for re, _ in outputs], axis=2), np.stack([im for _, im in outputs], axis=2)


def _turned(re: Integers, im: Integers, c: Integers, s: Integers) -> Complex:
    """Half of (re + j im) * (c + j s), where c and s have 15 bits of fraction."""
    return (re * c - im * s) >> 16, (re * s + im * c) >> 16


def _powers(z: Complex) -> Integers:
    """[n, POINTS]: of the real transform at 0 .. POINTS - 1, from that of even and odd samples as complex ones.

    The last frequency, RATE / 2, has no weight in any band.
    """
    re, im = (part[:, order()] for part in z)
    mirror = -np.arange(POINTS) % POINTS
    er, ei = (re + re[:, mirror]) >> 1, (im - im[:, mirror]) >> 1
    odd_r, odd_i = im + im[:, mirror], re[:, mirror] - re
    c, s = _unit_circle(np.arange(POINTS) / FRAME)
    tr, ti = _turned(odd_r, odd_i, c, s)
    upper = np.arange(POINTS) > POINTS // 2  # these come with their mirror: conj(e - t) of it
    er, ei, tr, ti = (np.where(upper, part[:, mirror], part) for part in (er, ei, tr, ti))
    xr = np.where(upper, er - tr, er + tr)
    xi = np.where(upper, ei - ti, ei + ti)
    return np.asarray(xr.astype(np.int64) ** 2 + xi.astype(np.int64) ** 2)


def _log2(value: Integers) -> Integers:
    """LOG_BITS bits of fraction; of value >= 1. Linear between the LOG_STEPS + 1 entries of the table."""
    exponent = np.frexp(value.astype(np.float64))[1].astype(np.int64) - 1  # exact: values have less than 53 bits
    shifted = np.where(exponent >= 16, value >> np.maximum(exponent - 16, 0), value << np.maximum(16 - exponent, 0))
    fraction = shifted & 0xFFFF
    at, rest = fraction // (65536 // LOG_STEPS), fraction % (65536 // LOG_STEPS)
    table = log_table()
    step = table[at + 1] - table[at]
    return np.asarray((exponent << LOG_BITS) + table[at] + (step * rest >> 11))


@cache
def window() -> Integers:
    """[FRAME], 15 bits of fraction."""
    return np.minimum(np.rint(np.hanning(FRAME + 1)[:-1] * 32768), 32767).astype(np.int32)


@cache
def twiddles(size: int) -> tuple[Integers, Integers]:
    """Cosines and sines [3, size / 4]: exp(-2 pi j p k / size), p = 1, 2, 3."""
    return _unit_circle(np.outer((1, 2, 3), np.arange(size // 4)) / size)


def _unit_circle(turns: NDArray[np.float64]) -> tuple[Integers, Integers]:
    """exp(-2 pi j turns), 15 bits of fraction."""
    parts = np.cos(2 * np.pi * turns), -np.sin(2 * np.pi * turns)
    c, s = (np.clip(np.rint(part * 32768), -32768, 32767).astype(np.int32) for part in parts)
    return c, s


@cache
def order() -> NDArray[np.int64]:
    """[POINTS]: where each frequency is after the transform."""
    at = np.arange(POINTS)
    size, place = POINTS, np.zeros(POINTS, np.int64)
    while size > 1:
        radix = 4 if size >= 4 else 2
        place += at % radix * (size // radix)
        at, size = at // radix, size // radix
    return place


@cache
def weights(bands: int = BANDS) -> Integers:
    """[bands, POINTS]: `filters`, WEIGHT_BITS bits of fraction."""
    return np.rint(filters(bands)[:, :POINTS] * (1 << WEIGHT_BITS)).astype(np.int64)


@cache
def log_table() -> Integers:
    return np.asarray(np.rint(np.log2(1 + np.arange(LOG_STEPS + 1) / LOG_STEPS) * (1 << LOG_BITS)).astype(np.int64))


def tables(bands: int = BANDS) -> str:
    """driftc_logmel_tables.h: what firmware/driftc_logmel.h computes with."""
    shares = weights(bands)
    firsts = [int(np.flatnonzero(share)[0]) for share in shares]
    counts = [int(np.flatnonzero(share)[-1]) + 1 - first for share, first in zip(shares, firsts, strict=True)]
    packed = np.concatenate([share[at : at + count] for share, at, count in zip(shares, firsts, counts, strict=True)])
    if packed.max() > 0xFFFF:
        raise ValueError(f"{bands} bands: one of them has a single frequency; take fewer")
    turns = [np.stack(twiddles(size)).transpose(2, 1, 0).reshape(-1, 2) for size in (128, 32, 8)]
    circle = np.stack(_unit_circle(np.arange(POINTS // 2 + 1) / FRAME), axis=1)
    arrays = [
        ("uint32_t", "window", "even values are low halves", _words(window().reshape(-1, 2))),
        (
            "uint32_t",
            "twiddles",
            "exp(-2 pi j p k / size), p = 1, 2, 3: sizes 128, 32, 8",
            _words(np.concatenate(turns)),
        ),
        ("uint32_t", "circle", "exp(-2 pi j k / 256)", _words(circle)),
        ("uint8_t", "order", "where each frequency is after the transform", order()),
        ("uint8_t", "first", "frequency of each band", np.array(firsts)),
        ("uint8_t", "count", "frequencies of each band", np.array(counts)),
        ("uint16_t", "weights", "of these, band by band", packed),
        ("uint32_t", "log", "log2(1 + i / 32)", log_table()),
    ]
    numbers = {
        "FRAME": FRAME, "HOP": HOP, "BANDS": bands, "UNIT": UNIT, "FLOOR": _floor_units(),
        "WINDOW_LOG2": _log2_window(), "LN2": round(np.log(2) * 65536),
    }  # fmt: skip
    lines = ["/* driftc_logmel_tables.h: for driftc_logmel.h. Made by examples/logmel.py. */"]
    lines += ["#ifndef DRIFTC_LOGMEL_TABLES_H", "#define DRIFTC_LOGMEL_TABLES_H", "", "#include <stdint.h>", ""]
    lines += [f"#define DRIFTC_LOGMEL_{name} {value}" for name, value in numbers.items()]
    for kind, name, about, values in arrays:
        rows = [", ".join(map(str, values[at : at + 12])) for at in range(0, len(values), 12)]
        lines += ["", f"/* {about} */"]
        lines += [
            f"static const {kind} driftc_logmel_{name}[{len(values)}] = {{",
            *(f"    {row}," for row in rows),
            "};",
        ]
    return "\n".join([*lines, "", "#endif", ""])


def _words(pairs: Integers) -> Integers:
    """[n] of [n, 2] 16-bit values: the first is the low half."""
    pairs = pairs.astype(np.int64)
    return np.asarray((pairs[:, 0] & 0xFFFF) | (pairs[:, 1] & 0xFFFF) << 16)


def _floor_units() -> int:
    """FLOOR in the energy of a frame that was shifted by 2 to the right."""
    return round(FLOOR * _window_power() * (1 << 28))


def _log2_window() -> int:
    return round(float(np.log2(_window_power())) * (1 << LOG_BITS))


def _window_power() -> float:
    return float((np.hanning(FRAME + 1)[:-1] ** 2).sum())


@cache
def filters(bands: int = BANDS) -> NDArray[np.float64]:
    """[bands, FRAME // 2 + 1]: the share of each frequency in each band, adding up to 1."""
    edges = _hertz(np.linspace(_mel(LOWEST), _mel(RATE / 2), bands + 2))
    frequencies = np.fft.rfftfreq(FRAME, 1 / RATE)
    rising = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(np.minimum(rising, falling), 0)
    return np.asarray(triangles / triangles.sum(axis=1, keepdims=True))


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(700 * (10 ** (mel / 2595) - 1))


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes the tables of firmware/driftc_logmel.h.")
    parser.add_argument("output", type=Path, help="driftc_logmel_tables.h")
    parser.add_argument("--bands", type=int, default=BANDS)
    given = parser.parse_args()
    given.output.write_text(tables(given.bands), encoding="utf-8")


if __name__ == "__main__":
    main()
