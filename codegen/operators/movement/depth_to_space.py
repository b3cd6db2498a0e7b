"""DEPTH_TO_SPACE: out[y * b + i, x * b + j, c] = in[y, x, (i * b + j) * C + c]."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from driftc.codegen.operators.base import Box
from driftc.codegen.operators.movement.blocks import Blocks
from driftc.codegen.operators.movement.move import Loop, Nest
from driftc.codegen.tensor import Array, Shape


@dataclass(frozen=True, eq=False, kw_only=True)
class DepthToSpace(Blocks):
    """Each pixel becomes a block of them."""

    codes = ("DEPTH_TO_SPACE",)
    template = "depth_to_space"
    options = "DepthToSpaceOptions"

    rows: range | None = None  # of a part: the rows of the output that its input makes which it keeps

    def infer(self) -> tuple[Shape, ...]:
        batch, height, width, channels = self.inputs[0].shape
        b = self.block
        if channels % (b * b):
            self.refuse(f"{channels} channels do not make up blocks of {b} x {b} pixels")
        rows = height * b if self.rows is None else len(self.rows)
        return ((batch, rows, width * b, channels // (b * b)),)

    def nests(self) -> list[Nest]:
        rows, width, channels = self.inputs[0].hwc
        b, run = self.block, channels // self.block  # a block's row of pixels
        line = width * run  # of the output
        loops = (Loop(rows, width * channels, b * line), Loop(b, run, line), Loop(width, channels, run))
        return [Nest((*loops, Loop(run, 1, 1)))]

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        return (Box(box.row0 // self.block, -(-box.row1 // self.block), 0, self.inputs[0].hwc[2]),)

    def part(self, box: Box, reduce: range | None = None) -> Self:
        found = super().part(box, reduce)
        first = box.row0 % self.block
        return found if found is self else replace(found, rows=range(first, first + box.row1 - box.row0))

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        x, b = np.asarray(inputs[0]), self.block
        batch, height, width, channels = x.shape
        blocks = x.reshape(batch, height, width, b, b, channels // (b * b)).transpose(0, 1, 3, 2, 4, 5)
        y = blocks.reshape(batch, height * b, width * b, channels // (b * b))
        return (y if self.rows is None else y[:, self.rows.start : self.rows.stop],)
