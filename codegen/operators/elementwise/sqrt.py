"""SQRT: out = sqrt(in)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.elementwise.lookup import Lookup, truncated
from driftc.codegen.tensor import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Sqrt(Lookup):
    """The square root: LiteRT `kernels/elementwise.cc`."""

    codes = ("SQRT",)
    compared = "LiteRT"
    arithmetic = (
        "float32: sqrt(scale_in * (in - zero_in)) / scale_out, truncated; zero point; saturated. Below zero_in, where "
        "LiteRT stops the inference, as at it. A table of 256 in C."
    )

    def on_reals(self, x: Array) -> Array:
        return np.asarray(np.sqrt(np.maximum(x, 0)))

    def function(self, x: Int64) -> Int64:
        with np.errstate(over="ignore"):
            reals = np.float32(self.inputs[0].scale) * (x - self.inputs[0].zero_point).astype(np.float32)
            return truncated(self.on_reals(reals) / np.float32(self.outputs[0].scale)) + self.outputs[0].zero_point
