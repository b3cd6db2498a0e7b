"""PRELU: out = requantise(in) where in >= 0, else requantise(alpha * in), with an alpha for each channel or element."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.arithmetic import Int64, Multiplier
from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.elementwise.broadcast import largest_product
from driftc.codegen.operators.elementwise.elementwise import Pairwise
from driftc.codegen.operators.quantised import requantiser
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class Prelu(Pairwise):
    """TFLite `reference/prelu.h`."""

    codes = ("PRELU",)
    template = "prelu"
    largest_rank = 4
    arithmetic = (
        "Multiplier float64(scale_in) / float64(scale_out) from zero up, and float64(scale_in) * float64(scale_alpha) "
        "/ float64(scale_out) for the int32 product with alpha below, as Q0.31 and shift; double rounding; zero point; "
        "saturated. Refused where it can overflow int32."
    )

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        made = super().from_tflite(node)
        x, alpha = made.inputs
        fits = len(alpha.shape) <= len(x.shape) and made.infer() == (x.shape,)
        node.require(fits, f"alpha of shape {list(alpha.shape)} does not fit an input of shape {list(x.shape)}")
        return made

    def stored(self) -> Stored:
        return Stored(self.inputs, version=1)

    @cached_property
    def multipliers(self) -> tuple[Multiplier, Multiplier]:
        """For values from zero up, and for the products below."""
        scale, alpha, out = (tensor.scale for tensor in (*self.inputs, *self.outputs))
        largest = largest_product(*self.inputs)
        return requantiser(self, scale / out, 255), requantiser(self, scale * alpha / out, largest)

    def check(self) -> None:
        super().check()
        _ = self.multipliers

    def combine(self, a: Int64, b: Int64) -> Int64:
        above, below = self.multipliers
        return np.where(a >= 0, above.apply(a), below.apply(a * b))

    def float_combine(self, a: Array, b: Array) -> Array:
        return np.where(a >= 0, a, a * b)
