"""ADAPT_RANK: h = relu(A z + a), z the standardised mean and log variance of every channel; few numbers.

ADAPT_STATISTICS then moves the mean and the log variance of each channel by B h: a term of low rank.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.adapt.adapt_kernel import spread
from driftc.codegen.operators.adapt.adapt_statistics import LARGEST_HIDDEN
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.powers import log2
from driftc.codegen.tensor import Array, Shape, Tensor

LARGEST_RANK = 16
REACH = 8.0  # standard deviations; z is clamped to them
FRACTION = 8  # of z
COLUMNS = ("floor", "slope", "rest", "log_centre", "log_slope")
FRACTIONS = {"rest": 6, "log_centre": 9, "log_slope": 8}


@dataclass(frozen=True, eq=False, kw_only=True)
class AdaptRank(Operator):
    """Inputs: sums S (int32 or int64) and squares Q (int64) over n pixels. Output: h, int32 [rank], 0 to 2^30.

    A row of `table` for each channel, int16: floor (2^floor is added to the spread), slope (times 2^-shift: z of the
    mean, Q.8, for each unit of S), rest Q9.6 (what S = 0 is away from it), log_centre Q6.9, log_slope Q7.8.
    """

    codes = ("ADAPT_RANK",)
    in_files = False
    template = "adapt_rank"
    compared: ClassVar[str] = "the specification alone; no reference adapts"
    arithmetic = (
        "Integers alone. Per channel, Q.8: z of the mean = slope * S / 2^shift - rest, product below 2^62, rounded; "
        "z of the log variance = log_slope * (log2(spread + 2^floor) - log_centre), spread and log2 as "
        "ADAPT_STATISTICS has them, 46-bit product, rounded; both clamped to +-2^11 (8 standard deviations, as where "
        "it is learnt). h = max(0, a + sum of A z), A int8: |a| + 2^11 * (sum of |A| of its row) is at most 2^30, "
        "which is checked, so that no order of the sum leaves int32."
    )

    pixels: int
    table: NDArray[np.int16] = field(repr=False)  # [channels, columns]
    down: NDArray[np.int8] = field(repr=False)  # A, [channels, rank, mean and log variance]
    start: NDArray[np.int32] = field(repr=False)  # a, [rank]
    shift: int  # of the slopes, 1 to 61
    largest_sum: int  # no |S| is larger

    @property
    def rank(self) -> int:
        return len(self.start)

    def check(self) -> None:
        super().check()
        floors, shapes = self.column("floor"), (self.table.shape, self.down.shape)
        channels = self.inputs[0].size
        most = np.abs(self.start.astype(np.int64)) + (int(REACH) << FRACTION) * np.abs(self.down.astype(np.int64)).sum(
            axis=(0, 2)
        )
        fits = self.largest_sum * int(np.abs(self.column("slope")).max(initial=0)) < 2**62 and 1 <= self.shift <= 61
        fits = fits and shapes == ((channels, len(COLUMNS)), (channels, self.rank, 2)) and most.max() <= LARGEST_HIDDEN
        if not fits or not 1 <= self.rank <= LARGEST_RANK or floors.min() < 0 or floors.max() > 61:
            self.refuse("its constants leave the ranges that the fixed-point arithmetic is made for")

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return ()

    def column(self, name: str) -> Int64:
        return self.table[:, COLUMNS.index(name)].astype(np.int64)

    def infer(self) -> tuple[Shape, ...]:
        return ((self.rank,),)

    def summary(self) -> str:
        return f"what the statistics of all channels over {self.pixels} pixels say together, in {self.rank} numbers"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        sums, squares = (np.asarray(value, np.int64) for value in inputs)
        z = self.standardised(sums, squares)
        hidden = self.start + np.einsum("crk,kc->r", self.down.astype(np.int64), z)
        return (np.maximum(hidden, 0).astype(np.int32),)

    def standardised(self, sums: Int64, squares: Int64) -> Int64:
        """z of the means and of the log variances, Q.8 [2, channels]."""
        half = np.int64(1) << (self.shift - 1)
        mean = ((sums * self.column("slope") + half) >> self.shift) - (self.column("rest") << 2)
        power = log2(spread(sums, squares, self.pixels) + (np.int64(1) << self.column("floor")))
        log = ((power - (self.column("log_centre") << 15)) * self.column("log_slope") + (1 << 23)) >> 24
        reach = int(REACH) << FRACTION
        return np.asarray(np.clip(np.stack([mean, log]), -reach, reach), np.int64)
