"""Running statistics of a meta network: a channel's mean and variance of late take the place of the source's.

EcoTTA's meta normalisation (arXiv 2303.01904), with statistics that run over the stream instead of a batch's: it needs
no gradient (learning.md, part 3, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import INT32_MAX, Int64
from driftc.codegen.operators.elementwise.powers import ONE, exp2, log2
from driftc.codegen.operators.learn.base import Learning, rounded
from driftc.codegen.operators.learn.entropy import MIXED
from driftc.codegen.tensor import Array, Shape, Tensor

CENTRE_FRACTION, SPREAD_FRACTION = 16, 12  # of means, in steps of the map, and of variances
LEAST = 4  # added to a variance, Q.12, before its logarithm
FEWEST_BITS, MOST_BITS = 3, 10  # of the rate 2^-E
GAINS = (ONE // 4, 4 * ONE)


def level(spread: Int64) -> Int64:
    """log2 of variances, Q.12: in Q.24."""
    return log2(spread + LEAST)


@dataclass(frozen=True, eq=False, kw_only=True)
class PoolSquares(Learning):
    """Input: x int8 [1, H, W, C]. Output: of each channel the sum of (x - zero)^2, int32 [1, C]."""

    codes = ("POOL_SQUARES",)
    template = "pool_squares"
    arithmetic = "Exact: int32 sums of (x - zero)^2, refused where they can overflow."

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return self.inputs

    @property
    def pixels(self) -> int:
        height, width, _ = self.inputs[0].hwc
        return height * width

    @property
    def macs(self) -> int:
        return self.inputs[0].size

    def infer(self) -> tuple[Shape, ...]:
        return ((1, self.inputs[0].hwc[2]),)

    def check(self) -> None:
        super().check()
        if 255**2 * self.pixels > INT32_MAX:
            self.refuse(f"--adapt-running adds up the squares of {self.pixels} values, which can overflow int32")

    def summary(self) -> str:
        return f"sums of {self.pixels} squares"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        x = np.asarray(inputs[0], np.int64).reshape(-1, self.inputs[0].hwc[2]) - self.inputs[0].zero_point
        return ((x**2).sum(axis=0).astype(np.int32).reshape(1, -1),)


@dataclass(frozen=True, eq=False, kw_only=True)
class MetaNorm(Learning):
    """Inputs: sums [1, C]; centres int32 [C], Q.16 steps of the map; spreads int32 [C], Q.12. Output: sums [1, C].

    With the centres and spreads of the source the sums as they are.
    """

    codes = ("META_NORM",)
    template = "meta_norm"
    header = "driftc_meta.h"
    arithmetic = (
        "A = 2^((l - log2(spread + 4)) / 2) in Q.16, within [1/4, 4], log2 in Q.24 and the power of two as in live "
        "layers; S' = (floor(A * (S * 2^16 - pixels * centre) / 2^16) + pixels * source) / 2^16 in int64, rounded, "
        "halves upwards; within +-255 times the pixels."
    )

    pixels: int
    source: NDArray[np.int32] = field(repr=False)  # [C], Q.16: means of the source
    level: NDArray[np.int32] = field(repr=False)  # [C], Q.24: l, of its variances

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape,)

    def summary(self) -> str:
        return "the statistics of late in place of the source's"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        sums, centre, spread = (np.asarray(array, np.int64).reshape(-1) for array in inputs)
        gain = np.clip(exp2((self.level - level(spread)) >> 5), *GAINS)
        moved = ((gain * ((sums << CENTRE_FRACTION) - self.pixels * centre)) >> 16) + self.pixels * self.source
        most = 255 * self.pixels
        found = np.clip(rounded(moved, CENTRE_FRACTION), -most, most)
        return (found.astype(self.outputs[0].dtype).reshape(self.outputs[0].shape),)


@dataclass(frozen=True, eq=False, kw_only=True)
class MetaStatistics(Learning):
    """Inputs: sums [1, C], sums of squares int32 [1, C], centres and spreads int32 [C], shares of the decisions int16.

    Outputs: centres and spreads afterwards.
    """

    codes = ("META_STATISTICS",)
    template = "meta_statistics"
    header = "driftc_meta.h"
    arithmetic = (
        "m = S * r / 2^(k - 16) and E = Q * r / "
        "2^(k - 12), rounded down, r / 2^k one over the pixels; v = max(E - m^2 / 2^20, 0); d = m - centre, s = d^2 / "
        "2^20, rounded down; the centre moves by d / 2^e, the spread by (v + s - s / 2^e - spread) / 2^e, each "
        "rounded, halves upwards. While the largest share is 0.4 (13107) or more, each moves by 2^-e of the way to the "
        "source's instead."
    )

    pixels: int
    bits: int  # e
    source: NDArray[np.int32] = field(repr=False)  # [C], Q.16: means of the source
    spread: NDArray[np.int32] = field(repr=False)  # [C], Q.12: its variances

    @property
    def reciprocal(self) -> tuple[int, int]:
        """r in [2^30, 2^31] and k."""
        shift = 30 + (self.pixels - 1).bit_length()
        return min(round((1 << shift) / self.pixels), INT32_MAX), shift

    def check(self) -> None:
        super().check()
        if not FEWEST_BITS <= self.bits <= MOST_BITS:
            self.refuse(f"--adapt-running {self.bits}: needs to be from {FEWEST_BITS} to {MOST_BITS}")

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[2].shape, self.inputs[3].shape)

    def summary(self) -> str:
        return f"a step of 1/{1 << self.bits} towards the sample's statistics"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        sums, squares, centre, spread, share = (np.asarray(array, np.int64).reshape(-1) for array in inputs)
        if share.max() >= MIXED:
            back = ((self.source, centre), (self.spread, spread))
            moved_back = (at + rounded(home.astype(np.int64) - at, self.bits) for home, at in back)
            return tuple(found.astype(np.int32) for found in moved_back)
        over, shift = self.reciprocal
        mean = (sums * over) >> (shift - CENTRE_FRACTION)
        own = np.maximum(((squares * over) >> (shift - SPREAD_FRACTION)) - ((mean * mean) >> 20), 0)
        away = mean - centre
        square = (away * away) >> 20
        moved = own + square - rounded(square, self.bits) - spread
        return (
            (centre + rounded(away, self.bits)).astype(np.int32),
            (spread + rounded(moved, self.bits)).astype(np.int32),
        )
