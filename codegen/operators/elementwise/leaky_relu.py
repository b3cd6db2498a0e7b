"""LEAKY_RELU: out = requantise(in) where in >= 0, else requantise(alpha * in)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.arithmetic import Int64, Multiplier
from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.elementwise.lookup import Lookup
from driftc.codegen.operators.quantised import float32, requantiser
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class LeakyRelu(Lookup):
    """Negative values times `alpha`, and all to the output's scale."""

    codes = ("LEAKY_RELU",)
    arithmetic = (
        "Multipliers float64(scale_in) / float64(scale_out) from zero up and float64(scale_in) * float64(alpha) / "
        "float64(scale_out) below, as Q0.31 and shift; double rounding; zero point; saturated. A negative alpha "
        "negates the rounded product with its magnitude. A table of 256 in C."
    )
    departures = "LiteRT rounds scale_in * alpha, and both quotients, to float32."

    alpha: float

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        alpha = float(node.options("LeakyReluOptions").Alpha())
        node.require(isfinite(alpha), f"alpha {alpha} is not a number")
        return cls(**node.common(node.input(0)), alpha=alpha)

    def stored(self) -> Stored:
        return Stored(self.inputs, "LeakyReluOptions", {"Alpha": self.alpha})

    @cached_property
    def multipliers(self) -> tuple[Multiplier, Multiplier]:
        """For values from zero up, and for those below without alpha's sign."""
        scale, out = self.inputs[0].scale, self.outputs[0].scale
        identity, slope = scale / out, scale * self.alpha / out
        if self.litert:
            identity = float32(lambda: np.float32(scale) / np.float32(out))
            slope = float32(lambda: np.float32(scale) * np.float32(self.alpha) / np.float32(out))
        return requantiser(self, identity, 255), requantiser(self, abs(slope), 255)

    def check(self) -> None:
        super().check()
        _ = self.multipliers

    def on_reals(self, x: Array) -> Array:
        return np.where(x >= 0, x, np.float32(self.alpha) * x)

    def function(self, x: Int64) -> Int64:
        identity, slope = self.multipliers
        centred = x - self.inputs[0].zero_point
        below = slope.apply(centred) if self.alpha > 0 else -slope.apply(centred)
        return np.where(centred >= 0, identity.apply(centred), below) + self.outputs[0].zero_point
