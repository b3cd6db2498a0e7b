"""REVERSE_V2: some axes backwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.movement.move import Indices
from driftc.codegen.operators.movement.selection import Selection
from driftc.codegen.operators.reduction.axes import int32s, normalised

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class ReverseV2(Selection):
    """`axes` (not negative) are taken from the last index to the first."""

    codes = ("REVERSE_V2",)
    arithmetic = "Bytes are copied."
    compared = "TFLite Micro and LiteRT, which take only axes beside each other"

    axes: tuple[int, ...]

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        x = node.input(0)
        axes = normalised(node, int32s(node, 1, "the axes"), len(x.shape))
        node.require(len(set(axes)) == len(axes), f"names an axis of {list(axes)} twice")
        return cls(**node.common(x), axes=axes)

    def stored(self) -> Stored:
        return Stored((*self.inputs, np.array(self.axes, np.int32)), "ReverseV2Options", version=1)

    def taken(self) -> tuple[Indices, ...]:
        extents = enumerate(self.inputs[0].shape)
        return tuple(np.arange(extent)[:: -1 if axis in self.axes else 1] for axis, extent in extents)
