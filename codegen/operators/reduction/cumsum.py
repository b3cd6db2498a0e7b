"""CUMSUM: out[i] = requantise(sum over j <= i of in[j]), along an axis."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.arithmetic import Multiplier, wrap
from driftc.codegen.operators.base import Operator, Stored
from driftc.codegen.operators.quantised import requantiser, require_quantised
from driftc.codegen.operators.reduction.axes import int32s, normalised
from driftc.codegen.tensor import Array, Shape

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

EXTRA_BITS = 19  # of the sums: 20, less the factor 1/2 of the input


@dataclass(frozen=True, eq=False, kw_only=True)
class Cumsum(Operator):
    """`exclusive`: over j < i; `reverse`: from the last index to the first."""

    codes = ("CUMSUM",)
    template = "cumsum"
    centred = True
    compared = "TFLite Micro"
    arithmetic = (
        "int32 sum, which wraps, of (in - zero_in) * 2^19 from -zero_in * 2^19 on (TFLite Micro begins there); "
        "multiplier 2 * scale_in / (2^20 * scale_out) as Q0.31 and shift; double rounding; zero point; clamp to int8. "
        "So the input's zero point is 0 where driftc quantises. LiteRT has no int8 kernel."
    )

    axis: int
    exclusive: bool = False
    reverse: bool = False

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        x, axis, options = node.input(0), int32s(node, 1, "the axis"), node.options("CumsumOptions")
        node.require(len(axis) == 1, f"has {len(axis)} axes, not 1")
        return cls(
            **node.common(x),
            axis=normalised(node, axis, len(x.shape))[0],
            exclusive=bool(options.Exclusive()),
            reverse=bool(options.Reverse()),
        )

    def stored(self) -> Stored:
        fields = {"Exclusive": self.exclusive, "Reverse": self.reverse}
        return Stored((*self.inputs, np.array(self.axis, np.int32)), "CumsumOptions", fields, version=1)

    @property
    def extents(self) -> tuple[int, int, int]:
        """Before the axis, along it, and behind it."""
        shape = self.inputs[0].shape
        return prod(shape[: self.axis]), shape[self.axis], prod(shape[self.axis + 1 :])

    @cached_property
    def multiplier(self) -> Multiplier:
        """Of the sums: below one."""
        twice = 2 * self.inputs[0].scale
        real = twice / ((1 << 20) * self.outputs[0].scale)
        if not 0 < real < 1:
            self.refuse(f"scales {self.inputs[0].scale:g} and {self.outputs[0].scale:g} are too far apart")
        return requantiser(self, real, 0)

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape,)

    def check(self) -> None:
        super().check()
        require_quantised(self, *self.inputs, *self.outputs)
        _ = self.multiplier

    def summary(self) -> str:
        return f"cumulative sum along axis {self.axis}"

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        if self.axis == 0:
            self.refuse("adds up along the batch axis")
        terms = np.flip(inputs[0], self.axis) if self.reverse else inputs[0]
        sums = terms.cumsum(axis=self.axis) - (terms if self.exclusive else 0)
        return (np.asarray(np.flip(sums, self.axis) if self.reverse else sums, np.float32),)

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        x, y = self.inputs[0], self.outputs[0]
        terms = (np.asarray(inputs[0], np.int64) - x.zero_point) << EXTRA_BITS
        if self.reverse:
            terms = np.flip(terms, self.axis)
        sums = terms.cumsum(axis=self.axis) - (x.zero_point << EXTRA_BITS)
        if self.exclusive:
            sums = sums - terms
        if self.reverse:
            sums = np.flip(sums, self.axis)
        scaled = self.multiplier.apply(wrap(sums)) + y.zero_point
        return (np.clip(scaled, -128, 127).astype(np.int8),)
