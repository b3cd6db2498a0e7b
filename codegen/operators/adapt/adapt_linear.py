"""ADAPT_LINEAR: multiplier, offset of each channel: its mean and variance, moved by gains, trust or soft shrinkage.

The kernel of the methods that move the variance itself and not its logarithm (codegen/adaptation: lean, iabn).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.adapt.adapt_kernel import LARGEST_MULTIPLIER, LIMIT, AdaptKernel, spread
from driftc.codegen.operators.elementwise.powers import root
from driftc.codegen.tensor import Array

COLUMNS = ("shifts", "source", "spread", "level", "base", "centre", "gain", "rest")
SHRUNK = (*COLUMNS, "calm")
FRACTIONS = {"base": 4, "centre": 8, "rest": 8, "calm": 7}
MEAN_FRACTION = 12  # of the mean, in steps of the int8 values
BELIEF_FRACTION = 14
CALM_FRACTION = 12  # of the variance's
VARIANCE_FRACTION = 8  # of the variance
LIFTED = 15  # bits of the source's variance
FARTHEST = (1 << 23) - 1  # of this sample's


@dataclass(frozen=True, eq=False, kw_only=True)
class AdaptLinear(AdaptKernel):
    """The third input is the trust w of ADAPT_TRUST, int32 [1], Q.16; or there is none, and `calm`: soft shrinkage.

    A row of `table`, int16: shifts (lift in the lowest 6 bits, right in those above), source (the variance to
    normalise with where nothing is moved, times n / 2^lift accumulators squared, eps with it), spread (the same
    without eps), level, 15 bits (times 2^-right: what one over the root of the variance is multiplied by), base Q11.4,
    centre Q7.8, gain (times 2^-shift: steps of the int8 values, Q.12, for each unit of S), rest Q7.8 (taken off what
    moves the mean), and with soft shrinkage calm, Q8.7, of the mean.
    """

    codes = ("ADAPT_LINEAR",)
    template = "adapt_linear"
    arithmetic = (
        "The layer's int8 values before it and spread as ADAPT_STATISTICS has them. Per channel, integers alone. "
        "V = source + w * belief * (spread / 2^lift - spread of the source), Q.8: spread / 2^lift rounded down, at "
        "most 2^23 - 1 (the source's is below 2^15); 53-bit product rounded down; source is larger than its spread, so "
        "that V is at least 1. multiplier = level / sqrt(V): V is shifted up by an even number of bits to 2^30 or "
        "more, 1/sqrt is the line between two of 25 exact knots in Q.30 and one Newton step, high words of products "
        "below 2^62 or 2^64: within 0.000003; times level, shifted down, rounded, saturated to 2^23. "
        "mean = centre + w * (gain * S / 2^shift - rest) in Q.12, products below 2^62 and 2^47, rounded down, the "
        "moved part below 2^30 for every input. With soft shrinkage w = 1, and both moves are nearer to 0 by calm: of "
        "the mean, and of the variance a share of source, Q.12, at most 16. w = 0 leaves nothing of S and Q. "
        "offset = base - multiplier * mean in Q.17, 55-bit product rounded down, saturated to +-2^30."
    )

    belief: int  # Q.14: what the variance is moved by, before w
    calm: int = 0  # of the variance, Q.12

    @property
    def columns(self) -> tuple[str, ...]:
        return COLUMNS if len(self.inputs) == 3 else SHRUNK

    def check(self) -> None:
        super().check()
        if not self.fits(np.int16) or not self._in_range():
            self.refuse("its constants leave the ranges that the fixed-point arithmetic is made for")

    def _in_range(self) -> bool:
        shifts, source, known, level = (self.column(name) for name in COLUMNS[:4])
        fits = bool(np.all((shifts >= 0) & (shifts < 1 << 11) & (known >= 0) & (known < source) & (level >= 0)))
        fits = fits and 0 <= self.belief <= 1 << BELIEF_FRACTION and 0 <= self.calm <= 16 << CALM_FRACTION
        return fits and (self.largest_moved >> self.shift) + 1 < LIMIT

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        sums, squares, *rest = (np.asarray(value, np.int64) for value in inputs)
        trust = rest[0] if rest else np.array([1 << 16])
        multiplier = self.multiplier(self.variance(spread(sums, squares, self.pixels), trust))
        moved = ((sums * self.column("gain")) >> self.shift) - (self.column("rest") << 4)
        if "calm" in self.columns:
            moved = shrink(moved, self.column("calm") << 5)
        mean = (self.column("centre") << 4) + ((moved * trust) >> 16)
        offset = (self.column("base") << 13) - ((multiplier * mean) >> MEAN_FRACTION)
        return multiplier.astype(np.int32), np.clip(offset, -LIMIT, LIMIT).astype(np.int32)

    def variance(self, spread: Int64, trust: Int64) -> Int64:
        """What to normalise with: V, Q.8."""
        source = self.column("source")
        seen = np.minimum(spread >> (self.column("shifts") & 63), FARTHEST)
        away = shrink(seen - self.column("spread"), (self.calm * source) >> CALM_FRACTION)
        return np.asarray((source << VARIANCE_FRACTION) + ((away * (self.belief * trust)) >> 22), np.int64)

    def multiplier(self, variance: Int64) -> Int64:
        found, halved = root(variance)
        right = (self.column("shifts") >> 6) - halved
        product = ((self.column("level") << 17) * found) >> 32
        down = np.maximum(right, 5)
        rounded = (product + ((np.int64(1) << down) >> 1)) >> down
        return np.asarray(np.where(right < 5, LARGEST_MULTIPLIER, np.minimum(rounded, LARGEST_MULTIPLIER)), np.int64)


def shrink(x: Int64, calm: Int64) -> Int64:
    """Soft shrinkage: nearer to 0 by `calm`."""
    return np.asarray(np.sign(x) * np.maximum(np.abs(x) - calm, 0), np.int64)
