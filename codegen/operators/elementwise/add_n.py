"""ADD_N: out = requantise(sum of all inputs without zero point)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from driftc.codegen.arithmetic import Multiplier
from driftc.codegen.operators.base import Stored, as_int64
from driftc.codegen.operators.elementwise.broadcast import Broadcast
from driftc.codegen.operators.quantised import requantiser, require_quantised, require_same
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

MOST = 14  # inputs, whose sum still fits int32


@dataclass(frozen=True, eq=False, kw_only=True)
class AddN(Broadcast):
    """TFLite Micro `reference/add_n.h`: inputs of one shape and one quantisation."""

    codes = ("ADD_N",)
    template = "add_n"
    compared = "TFLite Micro"
    arithmetic = (
        "Inputs without zero point, shifted left by 20, times 1/2; their sum, from which TFLite Micro's kernel takes "
        "the zero point once more (it begins with a 0 that it takes for a raw value), times 2 * scale_in / (2^20 * "
        "scale_out) from float64 as Q0.31 and shift; double rounding; zero point; saturated. Up to 14 inputs, "
        "quantised alike."
    )

    extra_bits: ClassVar[int] = 19  # what is left of 20 after the half, which is exact

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        count = len(node.inputs)
        node.require(2 <= count <= MOST, f"has {count} inputs; driftc adds 2 to {MOST}")
        inputs = tuple(node.input(position) for position in range(count))
        node.require(len({tensor.shape for tensor in inputs}) == 1, "its inputs have different shapes")
        return cls(**node.common(*inputs))

    def stored(self) -> Stored:
        return Stored(self.inputs, "AddNOptions", version=1)

    @cached_property
    def multiplier(self) -> Multiplier:
        scale, out = self.inputs[0].scale, self.outputs[0].scale
        factor = 2 * scale / ((1 << 20) * out)
        if not 0 < factor < 1:
            self.refuse(f"the scales {scale:g} of its inputs and {out:g} of its output are too far apart")
        return requantiser(self, factor, 0)

    def check(self) -> None:
        super().check()
        require_quantised(self, *self.inputs, *self.outputs)
        for tensor in self.inputs[1:]:
            require_same(self, self.inputs[0], tensor)
        _ = self.multiplier

    @property
    def zero_points(self) -> int:
        """What is taken off the raw sum: the kernel begins with the input's zero point, too."""
        return self.inputs[0].zero_point * (len(self.inputs) + 1)

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        total = sum(as_int64(inputs)) - self.zero_points
        result = self.multiplier.apply(np.asarray(total << self.extra_bits)) + self.outputs[0].zero_point
        return (np.clip(result, -128, 127).astype(np.int8),)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (np.asarray(sum(inputs), np.float32),)
