"""RELU: out = max(requantise(in - zero_in), zero_out)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from driftc.codegen.arithmetic import Int64, Multiplier
from driftc.codegen.operators.elementwise.lookup import Lookup
from driftc.codegen.operators.quantised import float32, requantiser
from driftc.codegen.tensor import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Relu(Lookup):
    """Negative values to zero, and to the output's scale."""

    codes = ("RELU",)
    arithmetic = (
        "Multiplier float64(scale_in) / float64(scale_out) as Q0.31 and shift; double rounding; zero point; "
        "clamp from zero_out. A table of 256 in C, or a clamp in the operator before it."
    )
    departures = "LiteRT rounds scale_in / scale_out to float32."

    @cached_property
    def multiplier(self) -> Multiplier:
        scale, out = self.inputs[0].scale, self.outputs[0].scale
        factor = float32(lambda: np.float32(scale) / np.float32(out)) if self.litert else scale / out
        return requantiser(self, factor, 255)

    def check(self) -> None:
        super().check()
        _ = self.multiplier

    @property
    def clamp(self) -> tuple[int, int] | None:
        same = self.inputs[0].quantization is not None and self.inputs[0].quantization.same_as(
            self.outputs[0].quantization
        )
        return (self.outputs[0].zero_point, 127) if same else None

    def on_reals(self, x: Array) -> Array:
        return np.maximum(x, 0)

    def function(self, x: Int64) -> Int64:
        zero = self.outputs[0].zero_point
        return np.maximum(self.multiplier.apply(x - self.inputs[0].zero_point) + zero, zero)
