"""TRAINED_DENSE: a fully connected layer whose weights and bias lie in the state, so that they can be learnt."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from driftc.codegen.arithmetic import INT32_MAX, Int64, Multiplier
from driftc.codegen.operators.learn.rows_in_state import RowsInState
from driftc.codegen.tensor import Array

LARGEST_BIAS = 1 << 26  # in steps of the accumulator
ABSENT = -LARGEST_BIAS  # the bias of a class that is not there yet: no input makes it the largest


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedDense(RowsInState):
    """Inputs: x int8 [F]; weights int8 [C, F], within +-127; bias int32 [C], within +-2^26. Output: int8 [1, C].

    What FULLY_CONNECTED gives for the same weights: the zero point is taken off each input, since it cannot be folded
    into a bias that changes.
    """

    codes = ("TRAINED_DENSE",)
    template = "trained_dense"
    arithmetic = (
        "As FULLY_CONNECTED: int32 sum, Q0.31 multiplier and shift of each row, double rounding, zero point, clamp. "
        "Rows of classes that are not there yet have weights 0 and bias -2^26, which gives the lowest output."
    )

    multiplier: Multiplier  # one a row, or one for all
    bounds: tuple[int, int] = (-128, 127)

    def check(self) -> None:
        super().check()
        largest = 127 * (128 + abs(self.inputs[0].zero_point)) * self.length + LARGEST_BIAS
        if largest > INT32_MAX:
            self.refuse(f"sums of {self.length} products can overflow int32")
        lowest = self.multiplier.apply(np.array([ABSENT + (largest - LARGEST_BIAS)], np.int64))
        if int(lowest.max()) + self.outputs[0].zero_point > self.bounds[0]:
            self.refuse("its scales leave too little room below for classes that are not there yet")

    @cached_property
    def alike(self) -> tuple[int | None, int | None]:
        """Multiplier and right shift, where all rows have the same one."""
        value, shift = self.multiplier.value, -self.multiplier.shift
        return (None if np.ptp(value) else int(value[0]), None if np.ptp(shift) else int(shift[0]))

    def summary(self) -> str:
        return "fully connected, learnt on the device"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        x, weights, bias = (np.asarray(array, np.int64) for array in inputs)
        sums: Int64 = weights @ (x.reshape(-1) - self.inputs[0].zero_point) + bias
        scaled = self.multiplier.apply(sums) + self.outputs[0].zero_point
        return (np.clip(scaled, *self.bounds).astype(np.int8).reshape(1, -1),)
