"""UNPACK: the input cut along an axis, which the outputs do not have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.movement.move import Move, Nest
from driftc.codegen.operators.movement.pieces import along
from driftc.codegen.operators.reduction.axes import normalised
from driftc.codegen.tensor import Array, Shape

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class Unpack(Move):
    """As many outputs as the axis has indices."""

    codes = ("UNPACK",)
    arithmetic = "Bytes are copied."

    axis: int

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        x, options = node.input(0), node.options("UnpackOptions")
        (axis,) = normalised(node, [int(options.Axis())], len(x.shape))
        count = int(options.Num())
        node.require(
            count == len(node.outputs) == x.shape[axis],
            f"gives {len(node.outputs)} of {count} slices of axis {axis}, which has {x.shape[axis]} indices",
        )
        return cls(**node.common(x), axis=axis)

    def stored(self) -> Stored:
        return Stored(self.inputs, "UnpackOptions", {"Num": len(self.outputs), "Axis": self.axis})

    def infer(self) -> tuple[Shape, ...]:
        shape = self.inputs[0].shape
        return ((*shape[: self.axis], *shape[self.axis + 1 :]),) * len(self.outputs)

    def summary(self) -> str:
        return f"unpack axis {self.axis}"

    def nests(self) -> Sequence[Nest]:
        return along(self.inputs[0].shape, self.axis, [1] * len(self.outputs), joins=False)

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        x = np.asarray(inputs[0])
        return tuple(np.array(x.take(index, self.axis)) for index in range(len(self.outputs)))

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        if self.axis == 0:
            self.refuse("cuts the batch axis")
        return self.spec(*inputs)
