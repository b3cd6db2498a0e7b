"""ADAPT_TRUST: how much a layer believes this sample, by how far its means lie from the source's; one number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.powers import EXPONENT_FRACTION, LOG_FRACTION, ONE, exp2, log2
from driftc.codegen.tensor import Array, Shape, Tensor

FARTHEST = 1 << 14  # of a channel, Q.10: 16 standard deviations
LARGEST_AWAY = 1 << 30  # before that limit
LARGEST = 32 << EXPONENT_FRACTION  # of the exponent


@dataclass(frozen=True, eq=False, kw_only=True)
class AdaptTrust(Operator):
    """Input: sums S (int32 or int64). Output: w, int32 [1], Q.16 from 0 (the source alone) to 1.

    A row of `table` for each channel, int16: slope (times 2^-shift: Q.10 standard deviations for each unit of S), rest
    (Q5.10; what S = 0 is away from the source).
    """

    codes = ("ADAPT_TRUST",)
    in_files = False
    template = "adapt_trust"
    compared: ClassVar[str] = "the specification alone; no reference adapts"
    arithmetic = (
        "Integers alone. Per channel t = slope * S / 2^shift - rest in Q.10, product below 2^62, rounded down, below "
        "2^30 for every input, clamped to -2^14 to 2^14 - 1 (16 standard deviations); D = sum of t^2, Q.20, at most "
        "2^43. x = D * factor / 2^right in Q.20, product below 2^58, at most 32; d = 1 - 2^-x in Q.16. q = 2^(rate * "
        "log2 d), 0 for d = 0, or rate * d, rate Q1.14; w = 1 - q. Each step is monotone, so w never grows with D; "
        "w = 1 for D = 0; with the power and d = 1, w = 0."
    )

    table: NDArray[np.int16] = field(repr=False)  # [channels, 2]
    shift: int  # of the slopes, 1 to 61
    factor: int  # below 2^15: log2(e), or that divided by the channels, times 2^right
    right: int
    rate: int  # Q1.14
    power: bool  # q = d^rate, not rate * d
    largest_sum: int  # no |S| is larger

    def check(self) -> None:
        super().check()
        away = self.largest_sum * int(np.abs(self.table[:, 0].astype(np.int64)).max(initial=0))
        fits = self.table.dtype == np.int16 and 1 <= self.shift <= 61 and away < 2**62
        fits = fits and (away >> self.shift) + 1 < LARGEST_AWAY and 0 < self.factor < 2**15 and 0 <= self.right <= 61
        if not fits or not 0 <= self.rate <= 1 << 14 or len(self.table) > 1 << 15:
            self.refuse("its constants leave the ranges that the fixed-point arithmetic is made for")

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return ()

    def infer(self) -> tuple[Shape, ...]:
        return ((1,),)

    def summary(self) -> str:
        return "trust in this sample, by the divergence of the layer's means"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        sums = np.asarray(inputs[0], np.int64)
        slope, rest = self.table.astype(np.int64).T
        away = np.clip(((sums * slope) >> self.shift) - rest, -FARTHEST, FARTHEST - 1)
        return (self.trust(np.array([(away * away).sum()], np.int64)).astype(np.int32),)

    def trust(self, distance: Int64) -> Int64:
        """w of D, Q.20."""
        d = ONE - exp2(-np.minimum((distance * self.factor) >> self.right, LARGEST))
        if self.power:
            exponent = (self.rate * (log2(np.maximum(d, 1)) - (16 << LOG_FRACTION)) + (1 << 17)) >> 18
            q = np.where(d == 0, 0, exp2(exponent))
        else:
            q = (self.rate * d) >> 14
        return np.asarray(ONE - q, np.int64)
