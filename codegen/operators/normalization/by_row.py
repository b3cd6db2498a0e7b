"""Shared by operators that compute each row of the last axis by itself, to a quantisation that they fix."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.base import Box, Operator, Tiling, cut
from driftc.codegen.operators.quantised import require_quantised
from driftc.codegen.tensor import Array, Quantization, Shape

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class ByRow(Operator):
    """out[r, :] = function(in[r, :]); subclasses define `of_rows`."""

    tiling = Tiling.ROWS

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        x = node.input(0)
        node.require(len(x.shape) >= 1, "needs an input with at least one axis")
        return cls(**node.common(x))

    @property
    def depth(self) -> int:
        return self.inputs[0].shape[-1]

    @property
    def fixed_quantization(self) -> Quantization:
        raise NotImplementedError

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape,)

    def check(self) -> None:
        super().check()
        require_quantised(self, *self.inputs, *self.outputs)
        out, fixed = self.outputs[0], self.fixed_quantization
        if not fixed.same_as(out.quantization):
            scale, zero = float(fixed.scale[0]), int(fixed.zero_point[0])
            self.refuse(
                f"its output must have scale 1/{1 / scale:g} and zero point {zero}, not {out.scale:g} and "
                f"{out.zero_point}"
            )

    def of_rows(self, rows: Int64) -> Int64:
        """The results for raw values [rows, depth], before they saturate."""
        raise NotImplementedError

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        found = self.of_rows(np.asarray(inputs[0], np.int64).reshape(-1, self.depth))
        return (np.clip(found, -128, 127).astype(np.int8).reshape(self.outputs[0].shape),)

    def summary(self) -> str:
        return f"{super().summary()} of {self.depth}"

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        return (Box(box.row0, box.row1, 0, self.depth),)

    def part(self, box: Box, reduce: range | None = None) -> Self:
        if reduce is not None or (box.channel0, box.channel1) != (0, self.depth):
            raise ValueError(f"{self.name}: {self.kind} needs all channels of a row")
        return replace(self, inputs=(cut(self.inputs[0], box),), outputs=(cut(self.outputs[0], box),))
