"""SOFTMAX: out[r, c] = exp(beta * in[r, c]) / sum over c of exp(beta * in[r, c])."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.arithmetic import INT32_MAX, Int64, multiply_high, shift_right
from driftc.codegen.operators import fixed_point
from driftc.codegen.operators.base import Operator, Stored
from driftc.codegen.operators.quantised import require_quantised
from driftc.codegen.tensor import Array, Quantization, Shape, Tensor

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

INTEGER_BITS = 5  # of the scaled difference to the row's maximum: Q5.26
SUM_BITS = 12  # integer bits of the sum of exponentials: Q12.19
LONGEST = (1 << SUM_BITS) - 1  # the sum of more ones overflows


@dataclass(frozen=True, eq=False, kw_only=True)
class Softmax(Operator):
    """Softmax over the last axis, to scale 1/256 and zero point -128; of int16, 1/65536 and -32768."""

    codes = ("SOFTMAX",)
    template = "softmax"
    arithmetic = (
        "Differences d to the row's largest value; exp(beta * scale_in * d) in Q0.31 by gemmlowp's fixed-point "
        "exponential (a table in C; 0 beyond Q5.26), their sum in Q12.19, gemmlowp's fixed-point reciprocal of it; "
        "product by rounding doubling high multiply and rounding shift; zero point -128; saturated. Where a sum "
        "reaches 512, TFLite Micro stops the process; here the result is rounded all the same (to -128). Up to 4095 "
        "values a row."
    )

    beta: float = 1.0

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        x = node.input(0)
        node.require(len(x.shape) >= 1, "needs an input with at least one axis")
        return cls(**node.common(x), beta=float(node.options("SoftmaxOptions").Beta()))

    def stored(self) -> Stored:
        return Stored(self.inputs, "SoftmaxOptions", {"Beta": self.beta})

    @property
    def depth(self) -> int:
        return self.inputs[0].shape[-1]

    @property
    def fixed_quantization(self) -> Quantization:
        return Quantization.per_tensor(1 / 256, -128)

    @property
    def bits(self) -> int:
        """Of an output value."""
        return 8 * self.outputs[0].dtype.itemsize

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return self.inputs

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape,)

    def check(self) -> None:
        super().check()
        require_quantised(self, *self.inputs, *self.outputs)
        out = self.outputs[0]
        if out.dtype.name not in ("int8", "int16"):
            self.refuse(f"gives {out.dtype.name}; driftc compiles int8 and int16 here")
        least, near = out.limits[0], 0.001 if self.bits == 16 else 0.0  # what TFLite Micro lets pass
        if out.zero_point != least or abs(out.scale * 2**self.bits - 1) > near:
            self.refuse(
                f"its output must have scale 1/{1 << self.bits} and zero point {least}, not {out.scale:g} and "
                f"{out.zero_point}"
            )
        if self.depth > LONGEST:
            self.refuse(f"rows of {self.depth} values are too long: their sum overflows beyond {LONGEST}")
        if not self.beta * self.inputs[0].scale * 2 ** (31 - INTEGER_BITS) > 1:
            self.refuse(f"beta {self.beta:g} times input scale {self.inputs[0].scale:g} is too small or not a number")

    @cached_property
    def exponentials(self) -> Int64:
        """exp of 0, -1, -2, ... steps of the input, Q0.31; steps beyond the last give 0."""
        factor = min(self.beta * self.inputs[0].scale * 2 ** (31 - INTEGER_BITS), float(INT32_MAX))
        value, left = fixed_point.significand(factor)
        furthest = (((1 << INTEGER_BITS) - 1) << (31 - INTEGER_BITS)) >> left
        steps = -np.arange(min(furthest, 255) + 1, dtype=np.int64)
        return fixed_point.exp_of_negative(multiply_high(steps << left, value), INTEGER_BITS)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        powers = np.exp(self.beta * (inputs[0] - inputs[0].max(axis=-1, keepdims=True)))
        return (np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32),)

    def summary(self) -> str:
        return f"softmax of {self.depth}"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        rows = np.asarray(inputs[0], np.int64).reshape(-1, self.depth)
        steps = rows.max(axis=1, keepdims=True) - rows
        table = np.zeros(256, np.int64)
        table[: self.exponentials.size] = self.exponentials
        powers = table[steps]
        sums = shift_right(powers, SUM_BITS).sum(axis=1, keepdims=True)
        over = 32 - np.frexp(sums)[1].astype(np.int64)  # leading zeros of a uint32
        reciprocal = fixed_point.one_over_one_plus((sums << over) - (1 << 31))
        scaled = shift_right(multiply_high(reciprocal, powers), SUM_BITS - over + 31 - self.bits)
        least, most = self.outputs[0].limits
        return (np.clip(scaled + least, least, most).astype(self.outputs[0].dtype).reshape(self.outputs[0].shape),)
