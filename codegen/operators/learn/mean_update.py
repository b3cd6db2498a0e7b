"""MEAN_UPDATE: decides by the class means that are being learnt, then takes a sample into its class's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.learn.base import RowUpdate
from driftc.codegen.operators.learn.master_sums import BIAS_FRACTION, FRACTION, weights_of
from driftc.codegen.operators.learn.nearest_mean import MOST_FEATURES, distances
from driftc.codegen.tensor import Array, Shape

MOST_SAMPLES = 1 << 20  # counts end there; older samples weigh less then


@dataclass(frozen=True, eq=False, kw_only=True)
class MeanUpdate(RowUpdate):
    """Inputs: masters int32 [C, F], Q.16; counts int32 [C], Q.4; x int8 of F elements; label int32 [1], -1 for none.

    Outputs: class decided before, int32 [1]; masters and counts with the sample.
    """

    codes = ("MEAN_UPDATE",)
    template = "mean_update"
    arithmetic = (
        "Decides as NEAREST_MEAN, by masters / 2^16, rounded, halves upwards. At the label: n = count + 1, 1 to "
        "2^20; each master gains (x * 2^16 - master) / n, rounded, halves upwards. The other classes, and all without "
        "a label, are left as they are."
    )

    def check(self) -> None:
        super().check()
        if self.length > MOST_FEATURES:
            self.refuse(f"the distance of {self.length} features can overflow int32; of {MOST_FEATURES} it cannot")

    def infer(self) -> tuple[Shape, ...]:
        return ((1,), self.inputs[0].shape, self.inputs[1].shape)

    def summary(self) -> str:
        return "a sample into the mean of its class"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        masters, counts, x = (np.array(array, np.int64) for array in inputs[:3])
        label = int(np.asarray(inputs[3]).reshape(-1)[0])
        decided = np.array([int(np.argmin(distances(x, weights_of(masters), counts)))], np.int32)
        if label >= 0:
            count = min(max(int(counts[label]) >> BIAS_FRACTION, 0) + 1, MOST_SAMPLES)
            away = (x.reshape(-1) << FRACTION) - masters[label]
            masters[label] += (2 * away + count) // (2 * count)
            counts[label] = count << BIAS_FRACTION
        return decided, masters.astype(np.int32), counts.astype(np.int32)
