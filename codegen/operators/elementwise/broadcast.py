"""Shared by operators that compute element by element of two or more tensors, with NumPy's broadcasting."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from driftc.codegen.operators.base import Box, Operator, Tiling, cut
from driftc.codegen.tensor import Shape, Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Broadcast(Operator):
    """out[i] = function(a[i], b[i], ...); subclasses say which. Any input may be constant."""

    tiling = Tiling.ROWS | Tiling.CHANNELS
    largest_rank: ClassVar[int] = 6  # TFLite Micro broadcasts no further

    def infer(self) -> tuple[Shape, ...]:
        shapes = [tensor.shape for tensor in self.inputs]
        listed = " and ".join(str(list(shape)) for shape in shapes)
        if max(map(len, shapes)) > self.largest_rank and len(set(shapes)) > 1:
            self.refuse(f"broadcasts {listed}; TFLite Micro does so for up to {self.largest_rank} axes")
        try:
            return (np.broadcast_shapes(*shapes),)
        except ValueError:
            self.refuse(f"shapes {listed} do not fit each other")

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
            inputs=tuple(piece(tensor, need) for tensor, need in pieces),
            outputs=(cut(self.outputs[0], box),),
        )


def piece(tensor: Tensor, box: Box) -> Tensor:
    """`cut`, with the value of a constant cut too."""
    part = cut(tensor, box)
    if tensor.data is None:
        return part
    rows, channels = slice(box.row0, box.row1), slice(box.channel0, box.channel1)
    return replace(part, data=tensor.data.reshape(tensor.hwc)[rows, :, channels].reshape(part.shape))


def magnitude(tensor: Tensor) -> int:
    """The largest distance of an int8 value from the zero point."""
    return max(127 - tensor.zero_point, tensor.zero_point + 128)


def largest_product(a: Tensor, b: Tensor) -> int:
    """The largest magnitude of (a - zero) * (b - zero)."""
    return magnitude(a) * magnitude(b)
