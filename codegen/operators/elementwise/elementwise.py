"""Shared by ADD, SUB and MUL: two int8 tensors, NumPy's broadcasting, one int8 result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from driftc.codegen.arithmetic import Int64, Multiplier
from driftc.codegen.graph import Shape, Tensor
from driftc.codegen.operators.base import Array, Box, Stored, Tiling, as_int64, cut, float_activation
from driftc.codegen.operators.quantised import Clamped, requantiser
from driftc.codegen.operators.walk import Walk, broadcast

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

LARGEST_RANK = 6  # TFLite Micro broadcasts no further


@dataclass(frozen=True, eq=False, kw_only=True)
class Elementwise(Clamped):
    """out[i] = clamp(combine(a[i], b[i])); subclasses define `combine`. Either input may be constant."""

    tiling = Tiling.ROWS | Tiling.CHANNELS
    options: ClassVar[str]  # the schema's options table

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        node.require(len(node.inputs) == 2, f"has {len(node.inputs)} inputs, not 2")
        return cls(
            **node.common(node.input(0), node.input(1)),
            activation=node.activation(node.options(cls.options)),
        )

    def stored(self) -> Stored:
        return Stored(self.inputs, self.options, {"FusedActivationFunction": self.activation.value})

    def infer(self) -> tuple[Shape, ...]:
        a, b = (tensor.shape for tensor in self.inputs)
        if max(len(a), len(b)) > LARGEST_RANK and a != b:
            self.refuse(f"broadcasts {list(a)} and {list(b)}; TFLite Micro does so for up to {LARGEST_RANK} axes")
        try:
            return (np.broadcast_shapes(a, b),)
        except ValueError:
            self.refuse(f"shapes {list(a)} and {list(b)} do not fit each other")

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
        return (float_activation(self.activation, self.float_combine(inputs[0], inputs[1])),)

    def walk(self, backward: bool = False) -> Walk | None:
        return broadcast(self.outputs[0].shape, [tensor.shape for tensor in self.inputs])

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        height, _, channels = self.outputs[0].hwc
        found: list[Box] = []
        for tensor in self.inputs:
            rows, _, depth = tensor.hwc
            row = (box.row0, box.row1) if rows == height else (0, rows)
            channel = (box.channel0, box.channel1) if depth == channels else (0, depth)
            found.append(Box(*row, *channel))
        return tuple(found)

    def part(self, box: Box, reduce: range | None = None) -> Self:
        height, _, channels = self.outputs[0].hwc
        if box == Box(0, height, 0, channels) and reduce is None:
            return self
        if reduce is not None or any(t.hwc[0] not in (1, height) for t in self.inputs):
            raise ValueError(f"{self.name}: broadcasts along leading axes, which is not computed in parts")
        pieces = zip(self.inputs, self.needs(box), strict=True)
        return replace(
            self,
            inputs=tuple(_piece(tensor, need) for tensor, need in pieces),
            outputs=(cut(self.outputs[0], box),),
            bounds=self.range,
        )


def _piece(tensor: Tensor, box: Box) -> Tensor:
    """`cut`, with the value of a constant cut too."""
    part = cut(tensor, box)
    if tensor.data is None:
        return part
    rows, channels = slice(box.row0, box.row1), slice(box.channel0, box.channel1)
    return replace(part, data=tensor.data.reshape(tensor.hwc)[rows, :, channels].reshape(part.shape))


@dataclass(frozen=True, eq=False, kw_only=True)
class Sum(Elementwise):
    """ADD and SUB: both inputs are brought to a common scale with 20 extra bits, then the result to the output's."""

    template = "sum"
    extra_bits: ClassVar[int] = 20
    sign: ClassVar[int] = 1

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


def largest_product(a: Tensor, b: Tensor) -> int:
    """The largest magnitude of (a - zero) * (b - zero)."""
    reach = [max(127 - tensor.zero_point, tensor.zero_point + 128) for tensor in (a, b)]
    return reach[0] * reach[1]
