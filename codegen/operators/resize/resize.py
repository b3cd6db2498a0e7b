"""Shared by RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR: an image to another number of rows and pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from driftc.codegen.operators.base import Operator, Stored
from driftc.codegen.operators.reduction.axes import int32s
from driftc.codegen.tensor import Shape

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

LARGEST = 1 << 14  # rows or pixels


@dataclass(frozen=True, eq=False, kw_only=True)
class Resize(Operator):
    """NHWC; `size` are the rows and pixels of the output.

    `align_corners`: the first and last points of both sides lie on each other; `half_pixel_centers`: the borders do.
    """

    options: ClassVar[str]  # the schema's options table

    size: tuple[int, int]
    align_corners: bool = False
    half_pixel_centers: bool = False

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        x, options, size = node.input(0), node.options(cls.options), int32s(node, 1, "the size")
        node.require(len(x.shape) == 4, f"needs an input of shape [1, H, W, C], not {list(x.shape)}")
        node.require(
            len(size) == 2 and min(size) > 0 and max(*size, *x.shape[1:3]) <= LARGEST,
            f"resizes {list(x.shape[1:3])} to {list(size)}; driftc takes 1 to {LARGEST} rows and pixels",
        )
        return cls(
            **node.common(x),
            size=(size[0], size[1]),
            align_corners=bool(options.AlignCorners()),
            half_pixel_centers=bool(options.HalfPixelCenters()),
        )

    def stored(self) -> Stored:
        fields = {"AlignCorners": self.align_corners, "HalfPixelCenters": self.half_pixel_centers}
        return Stored((*self.inputs, np.array(self.size, np.int32)), self.options, fields, version=3)

    def infer(self) -> tuple[Shape, ...]:
        batch, _, _, channels = self.inputs[0].shape
        return ((batch, *self.size, channels),)

    def summary(self) -> str:
        grid = ", corners aligned" if self.align_corners else ", half-pixel centres" if self.half_pixel_centers else ""
        return f"{self.kind.lower().replace('_', ' ')} to {self.size[0]}x{self.size[1]}{grid}"
