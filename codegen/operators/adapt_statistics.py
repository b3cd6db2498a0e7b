"""ADAPT_STATISTICS: multiplier, offset of each channel, from the sums and squares of this sample alone.

The one kernel of every per-sample method (codegen/adaptation): mean and log variance of the channel, each moved by a
gain and a constant of its own. Nothing is kept from one sample to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import Int64
from driftc.codegen.graph import Shape, Tensor
from driftc.codegen.operators.base import Array, Box, Operator, Tiling
from driftc.codegen.operators.powers import exp2, log2
from driftc.codegen.operators.walk import Walk

LIMIT = 1 << 30  # of the offset, and of what moves a mean
COLUMNS = ("level", "decay", "base", "centre", "gain")
FLOOR = 63  # the bits of decay that are the floor
LINEAR = ("floor", "level", "lift", "ratio", "belief", "base", "centre", "gain", "rest")
SHRUNK = (*LINEAR, "calm")
RANKED = (*COLUMNS, "mean_rate", "log_rate")
FRACTIONS = {"level": 20, "decay": 28, "base": 17, "centre": 16}
OUTPUT_FRACTION = 17  # of multiplier and offset
LINEAR_FRACTIONS = {"level": 11, "belief": 14, "base": 4, "centre": 8, "rest": 8, "calm": 7}
LARGEST = np.int64(2**31 - 1)
MEAN_FRACTION = 16  # of the mean, in steps of the int8 values
LINEAR_MEAN_FRACTION = 12
LARGEST_HIDDEN = 1 << 30  # of what ADAPT_RANK gives


@dataclass(frozen=True, eq=False, kw_only=True)
class AdaptStatistics(Operator):
    """Inputs: sums S (int32 or int64) and squares Q (int64) over n pixels. Outputs: int32, both Q14.17.

    A row of `table` for each channel, int32: level Q11.20, decay Q3.28, whose lowest 6 bits are floor besides
    (2^floor is added to the spread), base Q14.17, centre Q15.16, gain (times 2^-shift: steps of the int8 values, Q.16,
    for each unit of S).

    In the `linear` form, int16, floor is a column, and there is either a third input, the trust w (int32 [1], Q.16),
    or `calm`, soft shrinkage, with a column of its own for the mean, Q8.7; level is Q4.11, base Q11.4, centre Q7.8,
    what gain gives Q.12; and instead of decay: lift, ratio (spread * ratio / 2^(lift + 19): Q.16 share of the
    source's), belief Q1.14, rest Q7.8 (taken off what moves the mean).

    With `up`, B int8 [channels, 2, rank], the third input is h of ADAPT_RANK, int32 [rank], and there are two columns
    more: B h times mean_rate, log_rate (and 2^-up_shifts) moves the mean, Q.16, and the exponent, Q.20.
    """

    codes = ("ADAPT_STATISTICS",)
    in_files = False
    template = "adapt_statistics"
    tiling = Tiling.CHANNELS
    per_channel = True
    compared: ClassVar[str] = "the specification alone; no reference adapts"
    arithmetic = (
        "The layer's int8 values before it: (sum * multiplier + 2^31) >> 32, multiplier Q.32 below 2^31, product below "
        "2^62, one rounding, clamped. "
        "Per channel, integers alone. spread = Q - S^2 / n, rounded up, exact: with S = m n + r it is "
        "Q - m (S + r) - floor(r^2 / n), and no term exceeds n (L + 1)^2 < 2^62, L the largest accumulator. "
        "above = log2(spread + 2^floor) - power in Q6.24, log2 by parabolas between 17 exact knots: within 0.0000055. "
        "multiplier = 2^(level - decay * above), 61-bit product rounded down to Q.20, 2^x by parabolas between 17 "
        "knots: within a millionth of it; in Q.16, of twice the real one, which is Q14.17; rounded, saturated to 2^23. "
        "mean = centre + gain * S / 2^shift in Q.16, product below 2^62, rounded, the sum saturated to int32. "
        "Linear form: R = spread, with 2^floor, as a share of the source's, Q.16: 2^-lift of it, at most 2^31 - 1, "
        "times ratio / 2^19, below 2^27; moved = w * belief * (R - 1), each product below 2^45, rounded down; "
        "multiplier = 2^(level - log2(1 + moved) / 2), 1 + moved at least 2^-16; "
        "mean = centre + w * (gain * S / 2^shift - rest) in Q.12, the moved part below 2^30 for every input; with "
        "soft shrinkage w = 1, and both moves are nearer to 0 by calm. w = 0 leaves nothing of S and Q. "
        "With ADAPT_RANK (--adapt-rank): B h, |h| <= 2^30 and rank <= 16, is below 2^41, its product with a rate of 16 "
        "bits below 2^56, rounded once; taken off the exponent, itself saturated to +-2^30, and added to the mean "
        "before it is saturated. "
        "offset = base - multiplier * mean in Q.17, 54-bit product rounded down, saturated to +-2^30."
    )

    pixels: int
    table: NDArray[np.int16 | np.int32] = field(repr=False)  # [channels, columns]
    power: int  # Q.24: what log2 is counted from
    shift: int  # of the gains, 1 to 61
    largest_sum: int  # no |S| is larger
    linear: bool = False
    calm: int = 0  # of the variance, Q.16
    up: NDArray[np.int8] | None = field(default=None, repr=False)
    up_shifts: tuple[int, int] = (1, 1)  # of the rates, 1 to 61

    @property
    def columns(self) -> tuple[str, ...]:
        if self.up is not None:
            return RANKED
        return COLUMNS if not self.linear else LINEAR if len(self.inputs) == 3 else SHRUNK

    def check(self) -> None:
        super().check()
        kind = np.int16 if self.linear else np.int32
        fits = self.table.dtype == kind and self.table.shape == (self.inputs[0].size, len(self.columns))
        if not fits or not self._in_range():
            self.refuse("its constants leave the ranges that the fixed-point arithmetic is made for")

    def _in_range(self) -> bool:
        moved = self.largest_sum * int(np.abs(self.column("gain")).max(initial=0))
        floors = self.floors
        fits = moved < 2**62 and 1 <= self.shift <= 61 and 0 <= self.power < 2**30
        fits = fits and floors.min(initial=0) >= 0 and floors.max(initial=0) <= 61
        if self.linear:
            lift, ratio, belief = (self.column(name) for name in ("lift", "ratio", "belief"))
            fits = fits and (moved >> self.shift) + 1 < LIMIT and 0 <= self.calm < 2**30 and self.up is None
            fits = fits and lift.min(initial=0) >= -20 and lift.max(initial=0) <= 43
            return bool(fits and min(ratio.min(initial=0), belief.min(initial=0)) >= 0)
        if self.up is not None:
            fits = fits and self.up.shape == (len(self.table), 2, self.inputs[2].size)
            fits = fits and min(self.up_shifts) >= 1 and max(self.up_shifts) <= 61
            fits = fits and all(np.abs(self.column(rate)).max() <= 2**15 for rate in RANKED[-2:])
        return bool(fits and np.abs(self.column("level")).max(initial=0) < 2**29)

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return ()

    def column(self, name: str) -> Int64:
        return self.table[:, self.columns.index(name)].astype(np.int64)

    @property
    def floors(self) -> Int64:
        return self.column("floor") if self.linear else self.column("decay") & FLOOR

    def constants(self) -> dict[str, Array]:
        return {"table": self.table} if self.up is None else {"table": self.table, "up": self.up}

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape, self.inputs[0].shape)

    def walk(self, backward: bool = False) -> Walk | None:
        """Channel by channel."""
        steps = np.arange(self.inputs[0].size).reshape(1, 1, -1)
        last = -1 if self.up is None else steps.size - 1  # trust is read before all else, h for every channel
        whole = (np.full((1, 1, tensor.size), last, np.int64) for tensor in self.inputs[2:])
        return Walk((steps, steps, *whole), (steps, steps))

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        return (box, box, *(Box(0, 1, 0, tensor.size) for tensor in self.inputs[2:]))

    def part(self, box: Box, reduce: range | None = None) -> Self:
        if reduce is not None:
            raise ValueError(f"{self.name}: has no sum to split")
        channels = slice(box.channel0, box.channel1)
        inputs, outputs = (
            tuple(replace(tensor, shape=(box.channel1 - box.channel0,)) for tensor in tensors)
            for tensors in (self.inputs[:2], self.outputs)
        )
        up = None if self.up is None else self.up[channels]
        return replace(self, inputs=(*inputs, *self.inputs[2:]), outputs=outputs, table=self.table[channels], up=up)

    def summary(self) -> str:
        return f"multiplier and offset of each channel from its statistics over {self.pixels} pixels"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        sums, squares, *rest = (np.asarray(value, np.int64) for value in inputs)
        trust = rest[0] if self.linear and rest else np.array([1 << 16])
        power = spread(sums, squares, self.pixels) + (np.int64(1) << self.floors)
        above = log2(self.share(power, trust) if self.linear else power) - self.power
        moved = (sums * self.column("gain") + (np.int64(1) << (self.shift - 1))) >> self.shift
        if self.linear:
            exponent = (self.column("level") << 9) - (above >> 5)
            moved = moved - (self.column("rest") << 4)
            if "calm" in self.columns:
                moved = shrink(moved, self.column("calm") << 5)
            moved = (moved * trust + (1 << 15)) >> 16
            base, mean, fraction = self.column("base") << 13, (self.column("centre") << 4) + moved, LINEAR_MEAN_FRACTION
        else:
            exponent = self.column("level") - steps(self.column("decay"), above)
            if self.up is not None:
                moved = moved + self.raised(0, rest[0])
                exponent = exponent - np.clip(self.raised(1, rest[0]), -LIMIT, LIMIT)
            base, mean, fraction = (
                self.column("base"),
                np.clip(self.column("centre") + moved, -LARGEST - 1, LARGEST),
                MEAN_FRACTION,
            )
        multiplier = exp2(exponent)
        offset = np.clip(base - ((multiplier * mean) >> fraction), -LIMIT, LIMIT)
        return multiplier.astype(np.int32), offset.astype(np.int32)

    def raised(self, which: int, hidden: Int64) -> Int64:
        """What h moves the mean (0; Q.16) or the exponent (1; Q.20) of each channel by."""
        assert self.up is not None
        rate, shift = self.column(RANKED[len(COLUMNS) + which]), self.up_shifts[which]
        return ((self.up[:, which].astype(np.int64) @ hidden) * rate + (np.int64(1) << (shift - 1))) >> shift

    def share(self, power: Int64, trust: Int64) -> Int64:
        """The variance to normalise with, as a share of the source's, Q.16; `power` is the spread with its floor."""
        lift = self.column("lift")
        left = np.maximum(-lift, 0)
        lifted = np.where(lift >= 0, power >> np.maximum(lift, 0), np.minimum(power, LARGEST >> left) << left)
        lifted = np.where((lift < 0) & (power > LARGEST >> left), LARGEST, np.minimum(lifted, LARGEST))
        away = shrink(((lifted * self.column("ratio")) >> 19) - (1 << 16), np.array([self.calm]))
        believed = (away * self.column("belief")) >> 14
        return np.asarray(np.maximum((1 << 16) + ((believed * trust) >> 16), 1), np.int64)


def shrink(x: Int64, calm: Int64) -> Int64:
    """Soft shrinkage: nearer to 0 by `calm`."""
    return np.asarray(np.sign(x) * np.maximum(np.abs(x) - calm, 0), np.int64)


def steps(decay: Int64, above: Int64) -> Int64:
    """decay (Q.28) * above (Q.24), rounded down to Q.20."""
    return np.asarray((decay * above) >> 32, np.int64)


def spread(sums: Int64, squares: Int64, pixels: int) -> Int64:
    """squares - sums^2 / pixels, rounded up: `pixels` times the variance. Truncating division, as C has it."""
    mean = np.sign(sums) * (np.abs(sums) // pixels)
    rest = sums - mean * pixels
    return np.asarray(squares - mean * (sums + rest) - rest * rest // pixels, np.int64)
