"""ABS: out = requantise(|in - zero_in|)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from driftc.codegen.arithmetic import Int64, Multiplier
from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.elementwise.lookup import Lookup
from driftc.codegen.operators.quantised import float32, requantiser
from driftc.codegen.tensor import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Abs(Lookup):
    """The magnitude: TFLite Micro `kernels/elementwise.cc`."""

    codes = ("ABS",)
    arithmetic = (
        "The magnitude without zero point; multiplier float64(scale_in) / float64(scale_out) as Q0.31 and shift, "
        "double rounding (none where the scales are equal); zero point; saturated. A table of 256 in C."
    )
    departures = "LiteRT rounds scale_in / scale_out to float32."

    def stored(self) -> Stored:
        return Stored(self.inputs, "AbsOptions", version=2)

    @cached_property
    def multiplier(self) -> Multiplier:
        scale, out = self.inputs[0].scale, self.outputs[0].scale
        factor = float32(lambda: np.float32(scale) / np.float32(out)) if self.litert else scale / out
        return requantiser(self, factor, 255)

    def check(self) -> None:
        super().check()
        _ = self.multiplier

    def on_reals(self, x: Array) -> Array:
        return np.abs(x)

    def function(self, x: Int64) -> Int64:
        magnitude = np.abs(x - self.inputs[0].zero_point)
        same = self.inputs[0].scale == self.outputs[0].scale
        return (magnitude if same else self.multiplier.apply(magnitude)) + self.outputs[0].zero_point
