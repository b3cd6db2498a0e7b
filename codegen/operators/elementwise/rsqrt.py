"""RSQRT: out = 1 / sqrt(in)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np

from driftc.codegen.arithmetic import Int64, Multiplier, quantize_multiplier
from driftc.codegen.operators import fixed_point
from driftc.codegen.operators.elementwise.lookup import Lookup
from driftc.codegen.operators.quantised import float32
from driftc.codegen.tensor import Array

EXTRA_BITS = 20  # of the root of an integer


@dataclass(frozen=True, eq=False, kw_only=True)
class Rsqrt(Lookup):
    """The inverse square root: TFLite Micro `kernels/elementwise.cc`."""

    codes = ("RSQRT",)
    arithmetic = (
        "1 / sqrt(in - zero_in) as Q0.31 and shift by TFLite's Newton-Raphson steps, with 20 extra bits; multiplier "
        "1 / (sqrt(float64(scale_in)) * float64(scale_out)), 20 taken off its shift; double rounding; zero point; "
        "saturated; 127 at zero_in. Below it, where TFLite Micro and LiteRT stop the inference, 127 too. A table of "
        "256 in C."
    )
    departures = "LiteRT rounds the root, and its product with scale_out, to float32."

    @cached_property
    def multiplier(self) -> Multiplier:
        scale, out = self.inputs[0].scale, self.outputs[0].scale
        finest = sqrt(scale) * out
        if self.litert:
            finest = float32(lambda: np.sqrt(np.float32(scale)) * np.float32(out))
        try:
            value, shift = quantize_multiplier(1.0 / finest)
        except (ValueError, ZeroDivisionError) as problem:
            self.refuse(f"requantisation: {problem}")
        if not EXTRA_BITS - 31 <= shift < 30:
            self.refuse(f"the scales {scale:g} of its input and {out:g} of its output are out of any sensible range")
        return Multiplier(np.array([value]), np.array([shift - EXTRA_BITS]))

    def check(self) -> None:
        super().check()
        _ = self.multiplier

    def on_reals(self, x: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.float32(1) / np.sqrt(np.asarray(x, np.float32)))

    def function(self, x: Int64) -> Int64:
        centred = x - self.inputs[0].zero_point
        value, right = fixed_point.inverse_root(np.maximum(centred, 1))
        root = Multiplier(value, EXTRA_BITS - right).apply(np.ones_like(x))
        return np.where(centred > 0, self.multiplier.apply(root) + self.outputs[0].zero_point, 127)
