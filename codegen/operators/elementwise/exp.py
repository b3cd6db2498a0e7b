"""EXP: out = e^in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.elementwise.lookup import TABULATED, Tabulated
from driftc.codegen.tensor import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Exp(Tabulated):
    """The exponential: LiteRT `kernels/exp.cc`."""

    codes = ("EXP",)
    compared = "LiteRT"
    arithmetic = TABULATED.format("its exponential, rounded from float64")

    def stored(self) -> Stored:
        return Stored(self.inputs, "ExpOptions")

    def on_reals(self, x: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.exp(x.astype(np.float64)).astype(np.float32)
