"""DENSE_UPDATE: one step of gradient descent on the masters of a dense layer, in their place."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.operators.learn.base import RowUpdate, rounded
from driftc.codegen.operators.learn.master_sums import LARGEST_BIAS_MASTER, fraction_of
from driftc.codegen.operators.learn.narrow import LESS, ROUNDED, is_narrow, lost
from driftc.codegen.tensor import Array, Shape

STEP_FRACTION = 4  # bits of an input's share of the step below a unit of the master


@dataclass(frozen=True, eq=False, kw_only=True)
class DenseUpdate(RowUpdate):
    """Inputs: masters int32 or int16 [C, F], bias masters int32 [C], x int8 of F elements, gradient int16 [1, C] in
    Q.15; where masters are int16 noise, int32 [1].

    Outputs: both masters after the step. `rate`: masters move by rate / 2^shift * gradient * (x - zero) / 2^4;
    `bias_rate`: bias masters by bias_rate / 2^bias_shift * gradient.
    """

    codes = ("DENSE_UPDATE",)
    template = "dense_update"
    header = "driftc_learn.h"
    arithmetic = (
        "Of each row: t = gradient * rate / 2^shift, product below 2^31, rounded, halves upwards, within +-2^22. Each "
        "master loses (x - zero) * t / 2^4, product below 2^31, rounded alike, and stays within +-127 * 2^16. The bias "
        "master loses gradient * bias_rate / 2^bias_shift, int64, rounded alike, and stays within +-2^30. A row whose "
        "gradient is 0 is left as it is. " + ROUNDED + " Here the product is (x - zero) * t, and the shift 12."
    )

    rate: NDArray[np.int32] = field(repr=False)  # [C], 0 to 2^15
    shift: int  # 1 to 30
    bias_rate: NDArray[np.int32] = field(repr=False)  # [C], 0 to 2^15
    bias_shift: int  # 1 to 46; below 1 the rate would be out of range

    @property
    def zero_point(self) -> int:
        return self.inputs[2].zero_point

    @property
    def largest(self) -> int:
        """Of a master."""
        return 127 << fraction_of(self.inputs[0])

    @property
    def narrow(self) -> bool:
        return is_narrow(self.inputs[0])

    def check(self) -> None:
        super().check()
        largest = max(int(self.rate.max()), int(self.bias_rate.max()))
        fits = largest <= 1 << 15 and min(int(self.rate.min()), int(self.bias_rate.min())) >= 0
        fits = fits and 1 <= self.shift <= 30 and 1 <= self.bias_shift <= 46
        if not fits or int(self.rate.max()) << 15 >> self.shift > 1 << 22:
            self.refuse(
                "the learning rate is out of any sensible range for the layer's scales; --learn-rate decides it"
            )

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape, self.inputs[1].shape)

    def summary(self) -> str:
        return "a step against the gradient"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        masters, bias, x, gradient, *noise = (np.asarray(array, np.int64) for array in inputs)
        g = gradient.reshape(-1)
        turn = rounded(g * self.rate, self.shift)
        products = turn[:, None] * (x.reshape(1, -1) - self.zero_point)
        moved = lost(products, STEP_FRACTION + LESS, noise[0]) if noise else rounded(products, STEP_FRACTION)
        moved_bias = rounded(g * self.bias_rate, self.bias_shift)
        return (
            np.clip(masters - moved, -self.largest, self.largest).astype(self.inputs[0].dtype),
            np.clip(bias - moved_bias, -LARGEST_BIAS_MASTER, LARGEST_BIAS_MASTER).astype(np.int32),
        )
