"""NEAREST_MEAN: decides for the class whose mean is nearest to the features; means and counts lie in the state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import INT32_MAX, Int64
from driftc.codegen.operators.learn.rows_in_state import RowsInState
from driftc.codegen.tensor import Array

LARGEST_DISTANCE = INT32_MAX  # of classes that are not there
MOST_FEATURES = INT32_MAX // 255**2  # so that no distance overflows


def distances(x: Array, means: Int64, counts: Array) -> Int64:
    """Squared, in steps: int64 [C]; LARGEST_DISTANCE where a class has no samples."""
    away = np.asarray(x, np.int64).reshape(1, -1) - means
    found: NDArray[np.int64] = np.where(np.asarray(counts).reshape(-1) > 0, (away * away).sum(axis=1), LARGEST_DISTANCE)
    return found


@dataclass(frozen=True, eq=False, kw_only=True)
class NearestMean(RowsInState):
    """Inputs: x int8 of F elements; means int8 [C, F], on the scale of x; counts int32 [C]. Output: int8 [1, C].

    Logits of a Gaussian of one variance around each mean, down from the largest: `factor` / 2^`shift` steps of the
    output for each squared step of the input.
    """

    codes = ("NEAREST_MEAN",)
    template = "nearest_mean"
    arithmetic = (
        "D = sum of (x - mean)^2, int32, of each class whose count is above 0; else 2^31 - 1. The first class with the "
        "smallest D gives 127; another class 127 less (D - smallest) * factor / 2^shift, int64, rounded, halves "
        "upwards, but at least 1, and -128 where it would be less or the class is not there."
    )

    factor: int  # below 2^15
    shift: int  # 1 to 46

    def check(self) -> None:
        super().check()
        if self.length > MOST_FEATURES:
            self.refuse(f"the distance of {self.length} features can overflow int32; of {MOST_FEATURES} it cannot")
        if not 0 < self.factor < 1 << 15 or not 1 <= self.shift <= 46:
            self.refuse("the scale of its output is out of any sensible range for the features' distances")

    def summary(self) -> str:
        return "nearest class mean, learnt on the device"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        found = distances(inputs[0], np.asarray(inputs[1], np.int64), inputs[2])
        best = int(np.argmin(found))
        below = ((found - found[best]) * self.factor + (1 << self.shift - 1)) >> self.shift
        scaled = 127 - np.clip(below, 1, 255)
        scaled[found == LARGEST_DISTANCE] = -128
        scaled[best] = 127
        return (scaled.astype(np.int8).reshape(1, -1),)
