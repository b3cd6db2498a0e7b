"""GELU: out = in * P(X <= in) of a normal X, or an approximation of it with tanh."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, pi, sqrt
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.elementwise.lookup import TABULATED, Tabulated
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

HALF, ONE = np.float32(0.5), np.float32(1)
_erfc = np.vectorize(erfc, otypes=[np.float64])


@dataclass(frozen=True, eq=False, kw_only=True)
class Gelu(Tabulated):
    """The Gaussian error linear unit: LiteRT `reference/gelu.h`."""

    codes = ("GELU",)
    compared = "LiteRT"
    arithmetic = TABULATED.format(
        "0.5 x * erfc(-x / sqrt 2), or 0.5 x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))), each operation rounded, "
        "erfc and tanh from float64"
    )

    approximate: bool = False

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        return cls(**node.common(node.input(0)), approximate=bool(node.options("GeluOptions").Approximate()))

    def stored(self) -> Stored:
        return Stored(self.inputs, "GeluOptions", {"Approximate": self.approximate})

    def on_reals(self, x: Array) -> Array:
        x = np.asarray(x, np.float32)
        if self.approximate:
            inner = np.float32(sqrt(2 / pi)) * (x + np.float32(0.044715) * x * x * x)
            return np.asarray(HALF * x * (ONE + np.tanh(inner.astype(np.float64)).astype(np.float32)))
        inner = x * np.float32(-sqrt(0.5))
        return np.asarray(HALF * x * _erfc(inner.astype(np.float64)).astype(np.float32))
