"""GRADIENT_ERRORS: CONV_GRADIENT and what makes errors of its sums, which are computed twice and never lie in RAM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.learn.base import WithExponent
from driftc.codegen.operators.learn.conv_gradient import ConvGradient
from driftc.codegen.tensor import Array, Shape, Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class GradientErrors(WithExponent):
    """Inputs: those of `gradient`; the exponent of its errors, int32 [1]. Outputs: errors int16 within +-2^14 in the
    shape of its output, and their exponent.
    """

    codes = ("GRADIENT_ERRORS",)
    template = "gradient_errors"
    header = "driftc_learn.h"
    arithmetic = "CONV_GRADIENT, then NORMALIZED_ERRORS."

    gradient: ConvGradient

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return self.gradient.int8_tensors

    @property
    def macs(self) -> int:
        return 2 * self.gradient.macs

    def infer(self) -> tuple[Shape, ...]:
        return (self.gradient.outputs[0].shape, (1,))

    def summary(self) -> str:
        return "errors taken back through a convolution, as int16 with one exponent"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        *given, exponent = inputs
        (sums,) = self.gradient.spec(*given)
        return self.normalized(sums.astype(np.int64), int(exponent.reshape(-1)[0]))
