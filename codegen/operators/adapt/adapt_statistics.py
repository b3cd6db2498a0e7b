"""ADAPT_STATISTICS: multiplier, offset of each channel: its mean and log variance, moved by gains and constants.

The kernel of the methods that are a gain and a constant a channel (codegen/adaptation: fixed, calibrated).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.adapt.adapt_kernel import LIMIT, AdaptKernel, spread
from driftc.codegen.operators.base import Box
from driftc.codegen.operators.elementwise.powers import exp2, log2
from driftc.codegen.tensor import Array

COLUMNS = ("level", "decay", "base", "centre", "gain")
FLOOR = 63  # the bits of decay that are the floor
RANKED = (*COLUMNS, "mean_rate", "log_rate")
FRACTIONS = {"level": 20, "decay": 28, "base": 17, "centre": 16}
LARGEST = np.int64(2**31 - 1)
MEAN_FRACTION = 16  # of the mean, in steps of the int8 values
LARGEST_HIDDEN = 1 << 30  # of what ADAPT_RANK gives


@dataclass(frozen=True, eq=False, kw_only=True)
class AdaptStatistics(AdaptKernel):
    """A row of `table`, int32: level Q11.20, decay Q3.28, whose lowest 6 bits are floor besides (2^floor is added to
    the spread), base Q14.17, centre Q15.16, gain (times 2^-shift: steps of the int8 values, Q.16, for each unit of S).

    With `up`, B int8 [channels, 2, rank], the third input is h of ADAPT_RANK, int32 [rank], and there are two columns
    more: B h times mean_rate, log_rate (and 2^-up_shifts) moves the mean, Q.16, and the exponent, Q.20.
    """

    codes = ("ADAPT_STATISTICS",)
    template = "adapt_statistics"
    reads_all = True
    arithmetic = (
        "The layer's int8 values before it: (sum * multiplier + 2^31) >> 32, multiplier Q.32 below 2^31, product below "
        "2^62, one rounding, clamped. "
        "Per channel, integers alone. spread = Q - S^2 / n, rounded up, exact: with S = m n + r it is "
        "Q - m (S + r) - floor(r^2 / n), and no term exceeds n (L + 1)^2 < 2^62, L the largest accumulator. "
        "above = log2(spread + 2^floor) - power in Q6.24, log2 by parabolas between 17 exact knots: within 0.0000055. "
        "multiplier = 2^(level - decay * above), 61-bit product rounded down to Q.20, 2^x by parabolas between 17 "
        "knots: within a millionth of it; in Q.16, of twice the real one, which is Q14.17; rounded, saturated to 2^23. "
        "mean = centre + gain * S / 2^shift in Q.16, product below 2^62, rounded, the sum saturated to int32. "
        "With ADAPT_RANK (--adapt-rank): B h, |h| <= 2^30 and rank <= 16, is below 2^41, its product with a rate of 16 "
        "bits below 2^56, rounded once; taken off the exponent, itself saturated to +-2^30, and added to the mean "
        "before it is saturated. "
        "offset = base - multiplier * mean in Q.17, 54-bit product rounded down, saturated to +-2^30."
    )

    power: int  # Q.24: what log2 is counted from
    up: NDArray[np.int8] | None = field(default=None, repr=False)
    up_shifts: tuple[int, int] = (1, 1)  # of the rates, 1 to 61

    @property
    def columns(self) -> tuple[str, ...]:
        return COLUMNS if self.up is None else RANKED

    def check(self) -> None:
        super().check()
        if not self.fits(np.int32) or not self._in_range():
            self.refuse("its constants leave the ranges that the fixed-point arithmetic is made for")

    def _in_range(self) -> bool:
        fits = 0 <= self.power < 2**30 and self.floors.max(initial=0) <= 61
        if self.up is not None:
            fits = fits and self.up.shape == (len(self.table), 2, self.inputs[2].size)
            fits = fits and min(self.up_shifts) >= 1 and max(self.up_shifts) <= 61
            fits = fits and all(np.abs(self.column(rate)).max() <= 2**15 for rate in RANKED[-2:])
        return bool(fits and np.abs(self.column("level")).max(initial=0) < 2**29)

    @property
    def floors(self) -> Int64:
        return self.column("decay") & FLOOR

    def part(self, box: Box, reduce: range | None = None) -> Self:
        made = super().part(box, reduce)
        return made if self.up is None else replace(made, up=self.up[box.channel0 : box.channel1])

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        sums, squares, *hidden = (np.asarray(value, np.int64) for value in inputs)
        above = log2(spread(sums, squares, self.pixels) + (np.int64(1) << self.floors)) - self.power
        moved = (sums * self.column("gain") + (np.int64(1) << (self.shift - 1))) >> self.shift
        exponent = self.column("level") - steps(self.column("decay"), above)
        if self.up is not None:
            moved = moved + self.raised(0, hidden[0])
            exponent = exponent - np.clip(self.raised(1, hidden[0]), -LIMIT, LIMIT)
        mean = np.clip(self.column("centre") + moved, -LARGEST - 1, LARGEST)
        multiplier = exp2(exponent)
        offset = np.clip(self.column("base") - ((multiplier * mean) >> MEAN_FRACTION), -LIMIT, LIMIT)
        return multiplier.astype(np.int32), offset.astype(np.int32)

    def raised(self, which: int, hidden: Int64) -> Int64:
        """What h moves the mean (0; Q.16) or the exponent (1; Q.20) of each channel by."""
        assert self.up is not None
        rate, shift = self.column(RANKED[len(COLUMNS) + which]), self.up_shifts[which]
        return ((self.up[:, which].astype(np.int64) @ hidden) * rate + (np.int64(1) << (shift - 1))) >> shift


def steps(decay: Int64, above: Int64) -> Int64:
    """decay (Q.28) * above (Q.24), rounded down to Q.20."""
    return np.asarray((decay * above) >> 32, np.int64)
