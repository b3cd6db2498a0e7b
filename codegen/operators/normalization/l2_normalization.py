"""L2_NORMALIZATION: out[r, c] = in[r, c] / sqrt(sum over c of in[r, c]^2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.arithmetic import INT32_MAX, Int64, Multiplier
from driftc.codegen.operators import fixed_point
from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.elementwise.broadcast import magnitude
from driftc.codegen.operators.normalization.by_row import ByRow
from driftc.codegen.tensor import Array, Quantization

OUTPUT_BITS = 7  # fraction bits of the int8 output


@dataclass(frozen=True, eq=False, kw_only=True)
class L2Normalization(ByRow):
    """The last axis to length 1, at scale 1/128 and zero point 0: TFLite `integer_ops/l2normalization.h`."""

    codes = ("L2_NORMALIZATION",)
    template = "l2_normalization"
    arithmetic = (
        "int32 sum of squares without zero point; 1 / sqrt of it as Q0.31 and shift by TFLite's Newton-Raphson steps "
        "(0 counts as 1); each value times it with 7 fraction bits, double rounding; saturated. The input's scale has "
        "no part in it. Refused where the sum can overflow int32."
    )

    def stored(self) -> Stored:
        return Stored(self.inputs, "L2NormOptions")

    @property
    def fixed_quantization(self) -> Quantization:
        return Quantization.per_tensor(2.0**-OUTPUT_BITS, 0)

    def check(self) -> None:
        super().check()
        if len(self.inputs[0].shape) > 4:
            self.refuse(f"shape {list(self.inputs[0].shape)}: TFLite Micro takes up to 4 axes")
        if magnitude(self.inputs[0]) ** 2 * self.depth > INT32_MAX:
            self.refuse(f"adds up the squares of {self.depth} values, whose sum can overflow int32")

    def of_rows(self, rows: Int64) -> Int64:
        centred = rows - self.inputs[0].zero_point
        value, right = fixed_point.inverse_root(np.square(centred).sum(axis=1, keepdims=True))
        return Multiplier(value, OUTPUT_BITS - right).apply(centred)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        norm = np.sqrt(np.square(inputs[0]).sum(axis=-1, keepdims=True))
        return (np.asarray(inputs[0] / np.maximum(norm, np.float32(1e-6)), np.float32),)
