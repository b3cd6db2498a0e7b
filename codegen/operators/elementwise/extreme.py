"""Shared by MAXIMUM and MINIMUM: raw int8 values, compared as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.elementwise.elementwise import Pairwise
from driftc.codegen.operators.quantised import require_same
from driftc.codegen.tensor import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Extreme(Pairwise):
    """TFLite `reference/maximum_minimum.h`; all tensors are quantised alike."""

    template = "extreme"
    options = "MaximumMinimumOptions"
    keeps_scale = True
    largest_rank = 5
    ufunc: ClassVar[np.ufunc]
    sign: ClassVar[str]  # between the new value and the kept one, in C

    def check(self) -> None:
        super().check()
        for tensor in self.inputs:
            require_same(self, tensor, self.outputs[0])

    def combine(self, a: Int64, b: Int64) -> Int64:
        return np.asarray(self.ufunc(a, b), np.int64)

    def float_combine(self, a: Array, b: Array) -> Array:
        return np.asarray(self.ufunc(a, b))
