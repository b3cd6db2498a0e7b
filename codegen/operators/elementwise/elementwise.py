"""Shared by ADD, SUB, MUL, DIV and the like: two int8 tensors, NumPy's broadcasting, one int8 result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from driftc.codegen.arithmetic import Int64, Multiplier
from driftc.codegen.operators.attributes import float_activation
from driftc.codegen.operators.base import Box, Stored, as_int64
from driftc.codegen.operators.channelwise import at_corners
from driftc.codegen.operators.elementwise.broadcast import Broadcast
from driftc.codegen.operators.quantised import Clamped, requantiser, require_quantised
from driftc.codegen.operators.ranges import Ranges
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class Pairwise(Broadcast):
    """out[i] = combine(a[i], b[i]), saturated; subclasses define `combine`. Either input may be constant."""

    options: ClassVar[str]  # the schema's options table

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        node.require(len(node.inputs) == 2, f"has {len(node.inputs)} inputs, not 2")
        return cls(**node.common(node.input(0), node.input(1)))

    def stored(self) -> Stored:
        return Stored(self.inputs, self.options)

    def check(self) -> None:
        super().check()
        require_quantised(self, *self.inputs, *self.outputs)

    @property
    def range(self) -> tuple[int, int]:
        """The smallest and largest output value."""
        return -128, 127

    def combine(self, a: Int64, b: Int64) -> Int64:
        """The result without zero point and clamp, from values without zero point."""
        raise NotImplementedError

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        a, b = as_int64(inputs)
        low, high = self.range
        result = self.combine(a - self.inputs[0].zero_point, b - self.inputs[1].zero_point)
        return (np.clip(result + self.outputs[0].zero_point, low, high).astype(np.int8),)

    def float_combine(self, a: Array, b: Array) -> Array:
        """`combine` on real values."""
        raise NotImplementedError

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (np.asarray(self.float_combine(inputs[0], inputs[1]), np.float32),)


@dataclass(frozen=True, eq=False, kw_only=True)
class Elementwise(Clamped, Pairwise):
    """`Pairwise` with a fused activation."""

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        made = super().from_tflite(node)
        return replace(made, activation=node.activation(node.options(cls.options)))

    def stored(self) -> Stored:
        return Stored(self.inputs, self.options, {"FusedActivationFunction": self.activation.value})

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (float_activation(self.activation, *super().float_spec(*inputs)),)

    def part(self, box: Box, reduce: range | None = None) -> Self:
        part = super().part(box, reduce)
        return part if part is self else replace(part, bounds=self.range)


@dataclass(frozen=True, eq=False, kw_only=True)
class Sum(Elementwise):
    """ADD and SUB: both inputs are brought to a common scale with 20 extra bits, then the result to the output's."""

    template = "sum"
    extra_bits: ClassVar[int] = 20
    sign: ClassVar[int] = 1

    def channel_ranges(self, inputs: Sequence[Ranges]) -> Ranges | None:
        return at_corners(self, inputs)

    def factors(self) -> tuple[float, float, float]:
        """Real factors of the two inputs and of the result."""
        a, b, result = (tensor.scale for tensor in (*self.inputs, *self.outputs))
        twice = 2 * max(a, b)
        return a / twice, b / twice, twice / ((1 << self.extra_bits) * result)

    @cached_property
    def multipliers(self) -> tuple[Multiplier, Multiplier, Multiplier]:
        """Of the inputs (shifted left by `extra_bits`) and of the result: all below one."""
        factors = self.factors()
        made = [requantiser(self, factor, 255 << self.extra_bits) for factor in factors[:2] if 0 < factor < 1]
        if len(made) < 2 or not 0 < factors[2] < 1:
            self._out_of_range()
        result = requantiser(self, factors[2], 0)
        if max(int(multiplier.shift.max()) for multiplier in (*made, result)) > 0:
            self._out_of_range()
        return made[0], made[1], result

    def _out_of_range(self) -> None:
        a, b, result = (tensor.scale for tensor in (*self.inputs, *self.outputs))
        self.refuse(
            f"the scales {a:g} and {b:g} of its inputs and {result:g} of its output are too far apart; "
            "TFLite Micro needs 2 * larger input scale / (2^20 * output scale) to be below 1"
        )

    def check(self) -> None:
        super().check()
        _ = self.multipliers

    def combine(self, a: Int64, b: Int64) -> Int64:
        first, second, result = self.multipliers
        total = first.apply(a << self.extra_bits) + self.sign * second.apply(b << self.extra_bits)
        return result.apply(total)

    def float_combine(self, a: Array, b: Array) -> Array:
        return np.asarray(a + self.sign * b)
