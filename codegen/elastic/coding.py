"""What of a layer an update changes, in integers: the same in NumPy and in firmware/driftc_update.h.

A folded layer has a multiplier (Q0.31 and a right shift) and a raw bias a channel. With the codes g (gain) and o
(offset), both int8, and G = g * 2^(4 - k), k the log2 of gain steps an octave, F[j] = round(2^30 * 2^(j / 16)):

    multiplier' = multiplier * F[G mod 16] / 2^30, rounded, normalised to [2^30, 2^31);  shift' = shift - floor(G / 16)
    t = raw + round(o * step * 2^e)          e the exponent of the layer's offset step, step its unit in each channel
    raw' = round(t * F[-G mod 16] / 2^(30 + ceil(G / 16)))

Each product is below 2^62, each rounding adds half and shifts down. A live layer has three numbers a channel in the
table of ADAPT_STATISTICS: level' = level + g * 2^(20 - k), base' = base + b * 2^e, centre' = centre + c * 2^f.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import INT32_MAX, Int64
from driftc.codegen.operators.adapt.adapt_statistics import FRACTIONS as COLUMN_FRACTIONS

Floats = NDArray[np.float64]
Int8 = NDArray[np.int8]

FINEST = 4  # log2 of gain steps an octave
FRACTIONS = np.rint(2.0**30 * np.exp2(np.arange(16) / 16)).astype(np.int64)
SHIFTS = (1, 23)  # right shifts that every kernel takes
EXPONENTS = (-8, 7)  # of a folded layer's offset step
COLUMN_SHIFTS = (0, 23)  # of a live layer's offset steps
LARGEST_LEVEL = 2**29 - 1
LARGEST_CODE = 127  # that is made; -128 is taken


@dataclass(frozen=True, eq=False)
class Codes:
    """One layer's part of an update. `gain` and each of `offsets` are int8 [channels]."""

    octave: int  # log2 of gain steps an octave
    exponents: tuple[int, ...]  # one for each of `offsets`
    gain: Int8
    offsets: tuple[Int8, ...]


@dataclass(frozen=True, eq=False)
class Folded:
    """A layer with weights. Arrays are int64 [channels]; `scale` is the output's, real values for a step."""

    kind: ClassVar[str] = "folded"
    rows: ClassVar[int] = 1  # of offsets

    name: str
    label: str
    raw: Int64  # bias in steps of the accumulator
    rest: Int64  # what the C's bias holds besides: of the input's zero point
    multiplier: Int64  # Q0.31, 2^30 to 2^31 - 1
    shift: Int64  # right, 1 to 23
    step: Int64  # what an offset of 1 adds to `raw`, at exponent 0
    largest: int  # of |raw'|
    scale: float

    @property
    def channels(self) -> int:
        return self.raw.size

    @property
    def described(self) -> bytes:
        """All that a device and a server must agree on."""
        numbers = np.stack([self.raw, self.rest, self.multiplier, self.shift, self.step])
        return f"{self.name} folded {self.largest}".encode() + numbers.astype("<i8").tobytes()

    def unchanged(self) -> Codes:
        """The layer as it was compiled."""
        zeros = np.zeros(self.channels, np.int8)
        return Codes(FINEST, (0,), zeros, (zeros,))

    def updated(self, codes: Codes) -> tuple[Int64, Int64, Int64]:
        """multiplier', shift', raw'. Raises ValueError where one is out of bounds; nothing is saturated."""
        multiplier, shift, raw, fits = self._updated(codes)
        _refuse_unless(fits, self.name)
        return multiplier, shift, raw

    def _updated(self, codes: Codes) -> tuple[Int64, Int64, Int64, NDArray[np.bool_]]:
        """The same, and of each channel whether it is in bounds."""
        _check(codes, self.channels, self.rows, EXPONENTS)
        gain = codes.gain.astype(np.int64) << (FINEST - codes.octave)
        whole, part = gain >> FINEST, gain & 15
        product = self.multiplier * FRACTIONS[part]
        over = product >= 2**61 - 2**29
        multiplier = np.where(over, (product + 2**30) >> 31, (product + 2**29) >> 30)
        shift = self.shift - whole - over
        fits = (shift >= SHIFTS[0]) & (shift <= SHIFTS[1])
        moved, exponent = codes.offsets[0].astype(np.int64) * self.step, codes.exponents[0]
        moved = moved << exponent if exponent >= 0 else (moved + (1 << (-exponent - 1))) >> -exponent
        total = self.raw + moved
        fits &= np.abs(total) <= INT32_MAX
        right = np.clip(30 + whole + (part > 0), 1, 62)
        product = np.clip(total, -INT32_MAX, INT32_MAX) * FRACTIONS[-part & 15]
        raw = (product + (np.int64(1) << (right - 1))) >> right
        fits &= np.abs(raw) <= self.largest
        return multiplier, shift, raw, fits

    def codes(self, gain: Floats, bias: Floats) -> Codes:
        """Of `gain`, the new slope over the compiled one (above 0), and `bias`, the new one in the output's real units.

        The nearest codes that are within the layer's bounds. Raises ValueError for a gain that is not above 0.
        """
        octave, gains = _gain_codes(gain)
        real = self.multiplier * np.exp2(-31.0 - self.shift) * self.scale  # of an accumulator's step
        away = bias / real - self.raw
        exponent, offsets = next(
            (e, coded)
            for e in range(EXPONENTS[0], EXPONENTS[1] + 1)
            if np.abs(coded := np.rint(away / (self.step * 2.0**e))).max(initial=0) <= LARGEST_CODE or e == EXPONENTS[1]
        )
        found = Codes(octave, (exponent,), gains, (_int8(offsets),))
        for _ in range(2 * LARGEST_CODE):  # towards what was compiled, which fits
            *_, fits = self._updated(found)
            if fits.all():
                break
            (row,) = found.offsets
            still = ~fits & (row == 0)
            found = Codes(octave, (exponent,), _nearer(found.gain, still), (_nearer(row, ~fits),))
        return found


@dataclass(frozen=True, eq=False)
class Live:
    """A layer normalised by each sample's own statistics. Columns of its table, int64 [channels].

    `scale` is the output's. `unit`: what one step of the values before normalisation is worth, real [channels]; where
    the layer is a normalisation by itself, what one step of its input is.
    """

    kind: ClassVar[str] = "live"
    rows: ClassVar[int] = 2

    name: str  # of the layer whose values are normalised
    label: str
    statistics: str  # of the operator that has the table
    level: Int64  # Q11.20, log2 of the gain
    base: Int64  # Q14.17, steps of the output
    centre: Int64  # Q15.16, steps of the values before normalisation
    table: NDArray[np.int32]
    scale: float
    unit: Floats

    @property
    def channels(self) -> int:
        return self.level.size

    @property
    def described(self) -> bytes:
        return f"{self.name} live {self.table.shape}".encode() + self.table.astype("<i4").tobytes()

    def unchanged(self) -> Codes:
        zeros = np.zeros(self.channels, np.int8)
        return Codes(FINEST, (0, 0), zeros, (zeros, zeros))

    def updated(self, codes: Codes) -> tuple[Int64, Int64, Int64]:
        """level', base', centre'. Raises ValueError where one is out of bounds."""
        _check(codes, self.channels, self.rows, COLUMN_SHIFTS)
        base, centre = (row.astype(np.int64) << e for row, e in zip(codes.offsets, codes.exponents, strict=True))
        level = self.level + (codes.gain.astype(np.int64) << (COLUMN_FRACTIONS["level"] - codes.octave))
        found = level, self.base + base, self.centre + centre
        fits = np.abs(found[0]) <= LARGEST_LEVEL
        fits &= (np.abs(found[1]) <= INT32_MAX) & (np.abs(found[2]) <= INT32_MAX)
        _refuse_unless(fits, self.name)
        return found

    def codes(self, gain: Floats, beta: Floats, mean: Floats, log_variance: Floats | float = 0.0) -> Codes:
        """Of gamma' / gamma (above 0), beta' - beta in the output's real units, and what is added to `cm` and `cv` of
        codegen/adaptation's Constants: `mean` in the units of `unit`, `log_variance` in octaves of the variance.

        `cv` and gamma move the same number, so that there is one code for both. The nearest codes within bounds.
        """
        octave, gains = _gain_codes(gain * np.exp2(-np.asarray(log_variance) / 2))
        steps = ((beta / self.scale, "base"), (mean / self.unit, "centre"))
        rows = [_column_codes(real * 2.0 ** COLUMN_FRACTIONS[name]) for real, name in steps]
        level = self.level + (gains.astype(np.int64) << (COLUMN_FRACTIONS["level"] - octave))
        gains = np.where(np.abs(level) > LARGEST_LEVEL, np.int8(0), gains)
        offsets = []
        for (exponent, row), column in zip(rows, (self.base, self.centre), strict=True):
            beyond = np.abs(column + (row.astype(np.int64) << exponent)) > INT32_MAX
            offsets.append(np.where(beyond, np.int8(0), row))
        return Codes(octave, (rows[0][0], rows[1][0]), gains, tuple(offsets))


UpdatableLayer = Folded | Live


def layer_bytes(layer: UpdatableLayer) -> int:
    """Of its part of a packet: an exponent for each row of offsets, the octave, and the codes."""
    return layer.rows + 1 + (layer.rows + 1) * layer.channels


def _check(codes: Codes, channels: int, rows: int, exponents: tuple[int, int]) -> None:
    shapes = {codes.gain.shape, *(row.shape for row in codes.offsets)}
    if shapes != {(channels,)} or len(codes.offsets) != rows or len(codes.exponents) != rows:
        raise ValueError(f"codes are not those of {channels} channels")
    if not 0 <= codes.octave <= FINEST or any(not exponents[0] <= e <= exponents[1] for e in codes.exponents):
        raise ValueError("the steps of the codes are out of bounds")


def _refuse_unless(fits: NDArray[np.bool_], name: str) -> None:
    if not fits.all():
        channel = int(np.flatnonzero(~fits)[0])
        raise ValueError(f"layer '{name}', channel {channel}: the update is out of bounds")


def _gain_codes(gain: Floats) -> tuple[int, Int8]:
    if not np.all(np.isfinite(gain)) or not np.all(gain > 0):
        raise ValueError("gains must be finite and above 0")
    octaves = np.log2(gain)
    widest = np.abs(octaves).max(initial=0)
    octave = next((k for k in range(FINEST, -1, -1) if widest * 2**k <= LARGEST_CODE), 0)
    return octave, _int8(np.rint(octaves * 2**octave))


def _column_codes(wanted: Floats) -> tuple[int, Int8]:
    low, high = COLUMN_SHIFTS
    widest = np.abs(wanted).max(initial=0)
    exponent = next((e for e in range(low, high + 1) if np.rint(widest / 2.0**e) <= LARGEST_CODE), high)
    return exponent, _int8(np.rint(wanted / 2.0**exponent))


def _int8(values: Floats) -> Int8:
    return np.clip(values, -LARGEST_CODE, LARGEST_CODE).astype(np.int8)


def _nearer(codes: Int8, some: NDArray[np.bool_]) -> Int8:
    """One step nearer to 0 for some."""
    return (codes - np.where(some, np.sign(codes), 0)).astype(np.int8)
