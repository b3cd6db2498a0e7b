"""CONCATENATION: the inputs one after another along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.operators.attributes import Activation
from driftc.codegen.operators.base import Box, Stored, Tiling, cut
from driftc.codegen.operators.elementwise.broadcast import piece
from driftc.codegen.operators.movement.move import Loop, Move, Nest
from driftc.codegen.operators.movement.pieces import along
from driftc.codegen.operators.quantised import require_same
from driftc.codegen.operators.reduction.axes import normalised
from driftc.codegen.tensor import Array, Shape

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

LARGEST_RANK = 6
MOST_INPUTS = 10


@dataclass(frozen=True, eq=False, kw_only=True)
class Concatenation(Move):
    """Inputs may be constant. All have the output's scale and zero point."""

    codes = ("CONCATENATION",)
    template = "concatenation"
    tiling = Tiling.ROWS
    arithmetic = "Bytes are copied. Refused where an input is quantised otherwise than the output."

    axis: int
    rows: bool = False  # some rows of a whole, which are computed one by one

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        inputs = tuple(node.input(i) for i in range(len(node.inputs)))
        node.require(1 <= len(inputs) <= MOST_INPUTS, f"has {len(inputs)} inputs; TFLite Micro takes {MOST_INPUTS}")
        options = node.options("ConcatenationOptions")
        node.require(node.activation(options) is Activation.NONE, "cannot fuse an activation")
        rank = len(inputs[0].shape)
        node.require(1 <= rank <= LARGEST_RANK, f"needs 1 to {LARGEST_RANK} axes, not shape {list(inputs[0].shape)}")
        return cls(**node.common(*inputs), axis=normalised(node, [int(options.Axis())], rank)[0])

    def stored(self) -> Stored:
        return Stored(self.inputs, "ConcatenationOptions", {"Axis": self.axis})

    def infer(self) -> tuple[Shape, ...]:
        first = self.inputs[0].shape
        before, after = first[: self.axis], first[self.axis + 1 :]
        for tensor in self.inputs:
            shape = tensor.shape
            if len(shape) != len(first) or shape[: self.axis] != before or shape[self.axis + 1 :] != after:
                self.refuse(f"cannot join {list(first)} and {list(shape)} along axis {self.axis}")
        return ((*before, sum(tensor.shape[self.axis] for tensor in self.inputs), *after),)

    def check(self) -> None:
        super().check()
        for tensor in self.inputs:
            if tensor.dtype == np.int8:
                require_same(self, tensor, self.outputs[0])

    def summary(self) -> str:
        return f"concatenation along axis {self.axis}"

    def nests(self) -> Sequence[Nest]:
        extents = [tensor.shape[self.axis] for tensor in self.inputs]
        return along(self.outputs[0].shape, self.axis, extents, joins=True)

    @property
    def divisible(self) -> Tiling:
        """Rows, where each row of the output holds one of every input."""
        return Tiling.ROWS if len(self.inputs[0].shape) - self.axis <= 2 else Tiling.NONE

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        height = self.outputs[0].hwc[0]
        if self.divisible is Tiling.NONE:
            return super().needs(box)
        rows = (box.row0, box.row1) if box.row1 - box.row0 < height else (0, height)
        return tuple(Box(*rows, 0, tensor.hwc[2]) for tensor in self.inputs)

    def part(self, box: Box, reduce: range | None = None) -> Self:
        height, _, channels = self.outputs[0].hwc
        if reduce is None and box == Box(0, height, 0, channels):
            return self
        if reduce is not None or self.divisible is Tiling.NONE or (box.channel0, box.channel1) != (0, channels):
            raise ValueError(f"{self.name}: a concatenation is computed in rows alone")
        pieces = zip(self.inputs, self.needs(box), strict=True)
        return replace(
            self,
            inputs=tuple(piece(tensor, need) for tensor, need in pieces),
            outputs=(cut(self.outputs[0], box),),
            axis=4 - len(self.inputs[0].shape) + self.axis,
            rows=True,
        )

    def row_nests(self, read: Sequence[Sequence[int]], write: Sequence[int]) -> Sequence[Nest]:
        """The copies within a row; pixels and channels of each input, and of the output, are so many bytes apart."""
        item = self.outputs[0].dtype.itemsize
        found, start = [], 0
        for number, (tensor, strides) in enumerate(zip(self.inputs, read, strict=True)):
            _, *extents = tensor.hwc
            steps = [(inner // item, outer // item) for inner, outer in zip(strides[1:], write[1:], strict=True)]
            loops = tuple(Loop(count, *step) for count, step in zip(extents, steps, strict=True))
            along_pixels = len(tensor.shape) - self.axis == 2
            found.append(Nest(loops, 0, start * steps[0 if along_pixels else 1][1], source=number))
            start += extents[0 if along_pixels else 1]
        return found

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (np.concatenate([np.asarray(part) for part in inputs], axis=self.axis),)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        if self.axis == 0 or any(tensor.data is not None for tensor in self.inputs):
            self.refuse("joins samples or constants")
        return self.spec(*inputs)
