"""SPACE_TO_DEPTH: out[y, x, (i * b + j) * C + c] = in[y * b + i, x * b + j, c]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.base import Box
from driftc.codegen.operators.movement.blocks import Blocks
from driftc.codegen.operators.movement.move import Loop, Nest
from driftc.codegen.tensor import Array, Shape


@dataclass(frozen=True, eq=False, kw_only=True)
class SpaceToDepth(Blocks):
    """Each block of pixels becomes one."""

    codes = ("SPACE_TO_DEPTH",)
    template = "space_to_depth"
    options = "SpaceToDepthOptions"

    def infer(self) -> tuple[Shape, ...]:
        batch, height, width, channels = self.inputs[0].shape
        b = self.block
        if height % b or width % b:
            self.refuse(f"{height} x {width} pixels do not divide into blocks of {b} x {b}")
        return ((batch, height // b, width // b, b * b * channels),)

    def nests(self) -> list[Nest]:
        rows, width, channels = self.outputs[0].hwc
        b, run = self.block, channels // self.block  # a block's row of pixels
        line = width * run  # of the input
        loops = (Loop(rows, b * line, width * channels), Loop(b, line, run), Loop(width, run, channels))
        return [Nest((*loops, Loop(run, 1, 1)))]

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        return (Box(box.row0 * self.block, box.row1 * self.block, 0, self.inputs[0].hwc[2]),)

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        x, b = np.asarray(inputs[0]), self.block
        batch, height, width, channels = x.shape
        blocks = x.reshape(batch, height // b, b, width // b, b, channels).transpose(0, 1, 3, 2, 4, 5)
        return (blocks.reshape(batch, height // b, width // b, b * b * channels),)
