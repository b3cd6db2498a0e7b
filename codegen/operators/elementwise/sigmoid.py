"""Shared by LOGISTIC and TANH: the input in Q4.27, a fixed-point function, a fixed output quantisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import Int64, multiply_high, round_half_away, shift_right
from driftc.codegen.operators.elementwise.lookup import Lookup
from driftc.codegen.operators.fixed_point import significand
from driftc.codegen.tensor import Array, Quantization

INTEGER_BITS = 4


@dataclass(frozen=True, eq=False, kw_only=True)
class Sigmoid(Lookup):
    """out = function((in - zero_in) * scale_in), saturated where the input leaves Q4.27."""

    output_bits: ClassVar[int]  # fraction bits of the int8 output
    output_zero: ClassVar[int]
    departures = (
        "LiteRT computes the table in float32: round(f(float32(scale_in * (in - zero_in))) / scale_out) + "
        "zero_out, halves away from zero, saturated."
    )

    def curve(self, x: Int64) -> Int64:
        """Q4.27 -> Q0.31."""
        raise NotImplementedError

    @property
    def fixed_quantization(self) -> Quantization:
        return Quantization.per_tensor(2.0**-self.output_bits, self.output_zero)

    def check(self) -> None:
        super().check()
        out = self.outputs[0]
        if (out.scale, out.zero_point) != (2.0**-self.output_bits, self.output_zero):
            self.refuse(
                f"its output must have scale 1/{1 << self.output_bits} and zero point {self.output_zero}, "
                f"not {out.scale:g} and {out.zero_point}"
            )
        scale = self.inputs[0].scale
        if not 2.0**-27 <= scale < 2.0**26:
            self.refuse(f"input scale {scale:g} is out of any sensible range")

    def real(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same curve in float32; its exponential as exact as float64 makes it."""
        raise NotImplementedError

    def on_reals(self, x: Array) -> Array:
        return self.real(x.astype(np.float64))

    def function(self, x: Int64) -> Int64:
        return self._in_floating_point(x) if self.litert else self._in_fixed_point(x)

    def _in_floating_point(self, x: Int64) -> Int64:
        steps = (x - self.inputs[0].zero_point).astype(np.float32)
        values = self.real(np.float32(self.inputs[0].scale) * steps)
        rounded = round_half_away(values.astype(np.float64) * 2**self.output_bits)
        return np.asarray(rounded, np.int64) + self.output_zero

    def _in_fixed_point(self, x: Int64) -> Int64:
        value, left = significand(self.inputs[0].scale * 2 ** (31 - INTEGER_BITS))  # to Q4.27; left >= 0
        centred = x - self.inputs[0].zero_point
        radius = (((1 << INTEGER_BITS) - 1) << (31 - INTEGER_BITS)) >> left
        inside = np.abs(centred) < radius
        scaled = multiply_high(np.where(inside, centred, 0) << left, value)
        result = shift_right(self.curve(scaled), 31 - self.output_bits)
        saturated = np.where(centred <= -radius, -128, 127)
        return np.where(inside, result + self.output_zero, saturated)
