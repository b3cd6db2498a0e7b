"""DENSE_TRANSPOSED: a gradient through a frozen dense layer, by its int8 weights."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.operators.learn.base import Learning
from driftc.codegen.tensor import Array, Shape

MOST = (1 << 31 - 14 - 7) - 1  # classes: of so many products within 2^7 * 2^14 the sum is an int32


@dataclass(frozen=True, eq=False, kw_only=True)
class DenseTransposed(Learning):
    """Input: gradient int16 [1, C], within +-2^14. Output: int32 [1, F], the sums of weights [C, F] times it."""

    codes = ("DENSE_TRANSPOSED",)
    template = "dense_transposed"
    arithmetic = f"Exact: int32 sums of up to {MOST} products within 2^21."

    weights: NDArray[np.int8] = field(repr=False)  # [C, F]

    def check(self) -> None:
        super().check()
        if len(self.weights) > MOST:
            self.refuse(f"a gradient by {len(self.weights)} classes can overflow int32; {MOST} cannot")

    @property
    def macs(self) -> int:
        return self.weights.size

    def infer(self) -> tuple[Shape, ...]:
        return ((1, self.weights.shape[1]),)

    def summary(self) -> str:
        return "through the frozen layer"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        gradient = np.asarray(inputs[0], np.int64).reshape(-1)
        return ((gradient @ self.weights.astype(np.int64)).astype(np.int32).reshape(1, -1),)
