"""Shared by RELU_N1_TO_1 and RELU_0_TO_1: real values clamped, and brought to the output's scale."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from driftc.codegen.arithmetic import Int64, Multiplier, round_half_away
from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.elementwise.lookup import Lookup
from driftc.codegen.operators.quantised import float32, requantiser
from driftc.codegen.tensor import Array

ARITHMETIC = (
    "Multiplier float32(scale_in / scale_out) as Q0.31 and shift; double rounding; zero point; clamp to zero_out + "
    "round(float32({} / scale_out)) .. zero_out + round(float32(1 / scale_out)), halves away from zero. A table of 256 "
    "in C, or a clamp in the operator before it."
)


@dataclass(frozen=True, eq=False, kw_only=True)
class ClampedRelu(Lookup):
    """LiteRT `kernels/activations.cc`; its RELU6 alike."""

    compared = "LiteRT"
    low: ClassVar[float]

    def stored(self) -> Stored:
        return Stored(self.inputs, version=1)

    @cached_property
    def multiplier(self) -> Multiplier:
        scale, out = np.float32(self.inputs[0].scale), np.float32(self.outputs[0].scale)
        return requantiser(self, float32(lambda: scale / out), 255)

    @cached_property
    def bounds(self) -> tuple[int, int]:
        """The raw values of `low` and of 1 in the output."""
        zero, scale = self.outputs[0].zero_point, np.float32(self.outputs[0].scale)
        with np.errstate(over="ignore"):
            steps = np.clip(np.array([self.low, 1.0], np.float32) / scale, -512, 512)
        low, high = (int(step) for step in round_half_away(steps.astype(np.float64)))
        return max(-128, zero + low), min(127, zero + high)

    def check(self) -> None:
        super().check()
        _ = self.multiplier

    @property
    def clamp(self) -> tuple[int, int] | None:
        source = self.inputs[0].quantization
        return self.bounds if source is not None and source.same_as(self.outputs[0].quantization) else None

    def on_reals(self, x: Array) -> Array:
        return np.clip(x, np.float32(self.low), np.float32(1))

    def function(self, x: Int64) -> Int64:
        scaled = self.multiplier.apply(x - self.inputs[0].zero_point) + self.outputs[0].zero_point
        return np.clip(scaled, *self.bounds)
