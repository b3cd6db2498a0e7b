"""SPLIT_V: pieces of given sizes of the input along an axis, one to each output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.movement.split import Split
from driftc.codegen.operators.reduction.axes import int32s, normalised

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class SplitV(Split):
    """In a file one size may be -1: what the others leave."""

    codes = ("SPLIT_V",)

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        x, sizes, axis = node.input(0), list(node.integers(1)), int32s(node, 2, "the axis")
        node.require(len(axis) == 1, f"has {len(axis)} axes, not 1")
        node.require(len(sizes) == len(node.outputs), f"has {len(sizes)} sizes for {len(node.outputs)} outputs")
        place = normalised(node, axis, len(x.shape))[0]
        if sizes.count(-1) == 1:
            sizes[sizes.index(-1)] = x.shape[place] - sum(sizes) - 1
        node.require(
            min(sizes, default=0) > 0 and sum(sizes) == x.shape[place],
            f"sizes {sizes} do not make up the {x.shape[place]} indices of axis {place}",
        )
        return cls(**node.common(x), axis=place, sizes=tuple(sizes))

    def stored(self) -> Stored:
        sizes, axis = np.array(self.sizes, np.int32), np.array(self.axis, np.int32)
        return Stored((*self.inputs, sizes, axis), "SplitVOptions", {"NumSplits": len(self.outputs)})
