"""SPLIT: equal pieces of the input along an axis, one to each output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.movement.move import Move, Nest
from driftc.codegen.operators.movement.pieces import along
from driftc.codegen.operators.reduction.axes import int32s, normalised
from driftc.codegen.tensor import Array, Shape

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class Split(Move):
    """As many pieces as outputs; `sizes` are their extents along `axis`."""

    codes = ("SPLIT",)
    arithmetic = "Bytes are copied."

    axis: int
    sizes: tuple[int, ...]

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        axis, x = int32s(node, 0, "the axis"), node.input(1)
        node.require(len(axis) == 1, f"has {len(axis)} axes, not 1")
        count = int(node.options("SplitOptions").NumSplits())
        node.require(count == len(node.outputs), f"splits in {count}, but has {len(node.outputs)} outputs")
        place = normalised(node, axis, len(x.shape))[0]
        node.require(
            x.shape[place] % count == 0, f"axis {place} of {list(x.shape)} does not split into {count} equal pieces"
        )
        return cls(**node.common(x), axis=place, sizes=(x.shape[place] // count,) * count)

    def stored(self) -> Stored:
        axis = np.array(self.axis, np.int32)
        return Stored((axis, *self.inputs), "SplitOptions", {"NumSplits": len(self.outputs)})

    def infer(self) -> tuple[Shape, ...]:
        shape = self.inputs[0].shape
        return tuple((*shape[: self.axis], size, *shape[self.axis + 1 :]) for size in self.sizes)

    def summary(self) -> str:
        return f"split in {len(self.outputs)} along axis {self.axis}"

    def nests(self) -> Sequence[Nest]:
        return along(self.inputs[0].shape, self.axis, self.sizes, joins=False)

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        pieces = np.split(np.asarray(inputs[0]), np.cumsum(self.sizes)[:-1], self.axis)
        return tuple(np.ascontiguousarray(piece) for piece in pieces)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        if self.axis == 0:
            self.refuse("splits the batch axis")
        return self.spec(*inputs)
