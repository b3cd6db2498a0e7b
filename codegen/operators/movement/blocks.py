"""Shared by SPACE_TO_DEPTH and DEPTH_TO_SPACE: blocks of pixels beside each other in the channels of one pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from driftc.codegen.operators.base import Box, Stored, Tiling, cut
from driftc.codegen.operators.movement.move import Move
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

LARGEST_BLOCK = 1 << 10


@dataclass(frozen=True, eq=False, kw_only=True)
class Blocks(Move):
    """NHWC; blocks of `block` rows and as many pixels."""

    tiling = Tiling.ROWS
    arithmetic = "Bytes are copied."
    options: ClassVar[str]  # the schema's options table

    block: int

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        x, block = node.input(0), int(node.options(cls.options).BlockSize())
        node.require(len(x.shape) == 4, f"needs an input of shape [1, H, W, C], not {list(x.shape)}")
        node.require(0 < block <= LARGEST_BLOCK, f"blocks of {block} pixels are out of range")
        return cls(**node.common(x), block=block)

    def stored(self) -> Stored:
        return Stored(self.inputs, self.options, {"BlockSize": self.block}, version=1)

    def part(self, box: Box, reduce: range | None = None) -> Self:
        height, _, channels = self.outputs[0].hwc
        if reduce is None and box == Box(0, height, 0, channels):
            return self
        if reduce is not None or (box.channel0, box.channel1) != (0, channels):
            raise ValueError(f"{self.name}: {self.kind} is computed in rows alone")
        return replace(self, inputs=(cut(self.inputs[0], self.needs(box)[0]),), outputs=(cut(self.outputs[0], box),))

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        return self.spec(*inputs)
