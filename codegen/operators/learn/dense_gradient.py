"""DENSE_GRADIENT: the gradient at the input of a dense layer that is learnt, as int16 with one exponent."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.operators.learn.base import WithExponent, rounded
from driftc.codegen.operators.learn.cross_entropy import ONE
from driftc.codegen.operators.learn.master_sums import fraction_of, weights_of
from driftc.codegen.tensor import Array, Shape


@dataclass(frozen=True, eq=False, kw_only=True)
class DenseGradient(WithExponent):
    """Inputs: gradient int16 [1, C], Q.15; masters int32 or int16 [C, F]. Outputs: errors int16 [1, F] within +-2^14;
    their exponent int32 [1]: an error is its value times 2^exponent, in 2^-15 of the largest weight scale.
    """

    codes = ("DENSE_GRADIENT",)
    template = "dense_gradient"
    header = "driftc_learn.h"
    arithmetic = (
        "g = gradient * scale / 2^15 of each row, rounded, halves upwards; t = sum over the rows of g times the weight "
        "that the master stands for, int32, below 2^29. The exponent is the least by which the largest t, shifted "
        "right, is below 2^14; each t is shifted by it and rounded, halves upwards."
    )

    scale: NDArray[np.int32] = field(repr=False)  # [C], Q.15: each row's weight scale, by the largest

    @property
    def macs(self) -> int:
        return 2 * self.inputs[1].size

    def infer(self) -> tuple[Shape, ...]:
        return ((1, self.inputs[1].shape[1]), (1,))

    @property
    def fraction(self) -> int:
        return fraction_of(self.inputs[1])

    def summary(self) -> str:
        return "errors at the input of the layer that decides"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        gradient, masters = (np.asarray(array, np.int64) for array in inputs)
        scaled = rounded(gradient.reshape(-1) * self.scale, ONE.bit_length() - 1)
        return self.normalized(scaled @ weights_of(masters, self.fraction), 0)
