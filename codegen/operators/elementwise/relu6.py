"""RELU6: out = min(max(in, zero), six)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.elementwise.lookup import Lookup
from driftc.codegen.operators.quantised import require_same
from driftc.codegen.tensor import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Relu6(Lookup):
    """Real values clamped to 0..6; input and output are quantised alike."""

    codes = ("RELU6",)
    keeps_scale = True
    arithmetic = (
        "Clamp of the raw values to zero .. zero + round(float32(6 / scale)), halves away from zero. Refused where "
        "input and output are quantised differently, for TFLite Micro does not requantise here."
    )
    departures = "LiteRT requantises where input and output are quantised differently, which driftc refuses."

    def check(self) -> None:
        super().check()
        require_same(self, self.inputs[0], self.outputs[0])

    @property
    def clamp(self) -> tuple[int, int]:
        scale, zero = np.float32(self.inputs[0].scale), self.inputs[0].zero_point
        with np.errstate(over="ignore"):
            steps = float(np.float32(6) / scale)  # at least 0, perhaps infinite
        return zero, min(127, zero + int(min(steps, 255.0) + 0.5))

    def on_reals(self, x: Array) -> Array:
        return np.clip(x, 0, 6)

    def function(self, x: Int64) -> Int64:
        return np.clip(x, *self.clamp)
