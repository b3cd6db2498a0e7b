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
COLUMNS = ("floor", "level", "decay", "base", "centre", "gain")
LINEAR = ("floor", "level", "lift", "ratio", "belief", "base", "centre", "gain", "rest")
SHRUNK = (*LINEAR, "calm")
RANKED = (*COLUMNS, "mean_rate", "log_rate")
FRACTIONS = {"level": 11, "decay": 14, "base": 4, "centre": 8, "belief": 14, "rest": 8, "calm": 7}
OUTPUT_FRACTION = 16  # of multiplier and offset
LARGEST = np.int64(2**31 - 1)
MEAN_FRACTION = 12  # of the mean, in steps of the int8 values
LARGEST_HIDDEN = 1 << 30  # of what ADAPT_RANK gives


@dataclass(frozen=True, eq=False, kw_only=True)
class AdaptStatistics(Operator):
    """Inputs: sums S (int32 or int64) and squares Q (int64) over n pixels. Outputs: int32, both Q15.16.

    A row of `table` for each channel, int16: floor (2^floor is added to the spread), level Q4.11, decay Q1.14,
    base Q11.4, centre Q7.8, gain (times 2^-shift: steps of the int8 values, Q.12, for each unit of S).

    In the `linear` form there is either a third input, the trust w (int32 [1], Q.16), or `calm`, soft shrinkage, with
    a column of its own for the mean, Q8.7; and instead of decay: lift, ratio (spread * ratio / 2^(lift + 19): Q.16
    share of the source's), belief Q1.14, rest Q7.8 (taken off what moves the mean).

    With `up`, B int8 [channels, 2, rank], the third input is h of ADAPT_RANK, int32 [rank], and there are two columns
    more: B h times mean_rate, log_rate (and 2^-up_shifts) moves the mean, Q.12, and the exponent, Q.16.
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
        "above = log2(spread + 2^floor) - power in Q6.16, log2 linear between 17 exact knots: at most 0.00073 too "
        "small. multiplier = 2^(level - decay * above) in Q15.16, 39-bit product rounded to Q.16; 2^x linear "
        "between 17 knots: at most 0.00024 of it too large; saturated to 2^6. "
        "mean = centre + gain * S / 2^shift in Q.12, product below 2^62, rounded; the moved part is below 2^30 for "
        "every input. "
        "Linear form: R = spread, with 2^floor, as a share of the source's, Q.16: 2^-lift of it, at most 2^31 - 1, "
        "times ratio / 2^19, below 2^27; moved = w * belief * (R - 1), each product below 2^45, rounded down; "
        "multiplier = 2^(level - log2(1 + moved) / 2), 1 + moved at least 2^-16; "
        "mean = centre + w * (gain * S / 2^shift - rest); with soft shrinkage w = 1, and both moves are nearer to 0 by "
        "calm. w = 0 leaves nothing of S and Q. "
        "With ADAPT_RANK (--adapt-rank): B h, |h| <= 2^30 and rank <= 16, is below 2^41, its product with a rate below "
        "2^56, rounded once; taken off the exponent, itself saturated to +-2^30, and added to the mean, whose sum is "
        "saturated to +-2^30. "
        "offset = base - multiplier * mean / 2^12 in Q.16, 53-bit product rounded down, saturated to +-2^30."
    )

    pixels: int
    table: NDArray[np.int16] = field(repr=False)  # [channels, columns]
    power: int  # Q.16: what log2 is counted from
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
        gains = np.abs(self.column("gain"))
        moved = self.largest_sum * int(gains.max(initial=0))
        floors = self.column("floor")
        fits = moved < 2**62 and 1 <= self.shift <= 61 and (moved >> self.shift) + 1 < LIMIT
        if self.up is not None:
            fits = fits and not self.linear and self.up.shape == (len(self.table), 2, self.inputs[2].size)
            fits = fits and min(self.up_shifts) >= 1 and max(self.up_shifts) <= 61
        elif self.linear:
            lift, ratio, belief = (self.column(name) for name in ("lift", "ratio", "belief"))
            fits = fits and lift.min(initial=0) >= -20 and lift.max(initial=0) <= 43 and 0 <= self.calm < 2**30
            fits = fits and min(ratio.min(initial=0), belief.min(initial=0)) >= 0
        if (
            not fits
            or self.table.shape[1] != len(self.columns)
            or not 0 <= self.power < 2**22
            or floors.min(initial=0) < 0
            or floors.max(initial=0) > 61
        ):
            self.refuse("its constants leave the ranges that the fixed-point arithmetic is made for")

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return ()

    def column(self, name: str) -> Int64:
        return self.table[:, self.columns.index(name)].astype(np.int64)

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
        power = spread(sums, squares, self.pixels) + (np.int64(1) << self.column("floor"))
        decay = self.column("decay") if not self.linear else np.array([1 << 13])
        above = log2(self.share(power, trust) if self.linear else power) - self.power
        exponent = (self.column("level") << 5) - steps(decay, above)
        moved = (sums * self.column("gain") + (np.int64(1) << (self.shift - 1))) >> self.shift
        if self.linear:
            moved = moved - (self.column("rest") << 4)
            if "calm" in self.columns:
                moved = shrink(moved, self.column("calm") << 5)
            moved = (moved * trust + (1 << 15)) >> 16
        mean = (self.column("centre") << 4) + moved
        if self.up is not None:
            mean = np.clip(mean + self.raised(0, rest[0]), -LIMIT, LIMIT)
            exponent = exponent - np.clip(self.raised(1, rest[0]), -LIMIT, LIMIT)
        multiplier = exp2(exponent)
        offset = np.clip((self.column("base") << 12) - ((multiplier * mean) >> MEAN_FRACTION), -LIMIT, LIMIT)
        return multiplier.astype(np.int32), offset.astype(np.int32)

    def raised(self, which: int, hidden: Int64) -> Int64:
        """What h moves the mean (0; Q.12) or the exponent (1; Q.16) of each channel by."""
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
    """decay (Q.14) * above (Q.16), rounded to Q.16."""
    return np.asarray((decay * above + (1 << 13)) >> 14, np.int64)


def spread(sums: Int64, squares: Int64, pixels: int) -> Int64:
    """squares - sums^2 / pixels, rounded up: `pixels` times the variance. Truncating division, as C has it."""
    mean = np.sign(sums) * (np.abs(sums) // pixels)
    rest = sums - mean * pixels
    return np.asarray(squares - mean * (sums + rest) - rest * rest // pixels, np.int64)
