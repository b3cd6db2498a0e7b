"""TRANSPOSE: the same elements with the axes in another order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.movement.move import Loop, Move, Nest, dense
from driftc.codegen.operators.reduction.axes import int32s
from driftc.codegen.tensor import Array, Shape

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

LARGEST_RANK = 6


@dataclass(frozen=True, eq=False, kw_only=True)
class Transpose(Move):
    """Axis i of the output is axis permutation[i] of the input."""

    codes = ("TRANSPOSE",)
    arithmetic = "Bytes are copied."
    compared = "TFLite Micro (to five axes); LiteRT"

    permutation: tuple[int, ...]

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        x, permutation = node.input(0), int32s(node, 1, "the permutation")
        rank = len(x.shape)
        node.require(1 <= rank <= LARGEST_RANK, f"needs 1 to {LARGEST_RANK} axes, not shape {list(x.shape)}")
        node.require(
            sorted(permutation) == list(range(rank)), f"{list(permutation)} is no order of the {rank} axes of its input"
        )
        return cls(**node.common(x), permutation=permutation)

    def stored(self) -> Stored:
        return Stored((*self.inputs, np.array(self.permutation, np.int32)), "TransposeOptions")

    def infer(self) -> tuple[Shape, ...]:
        return (tuple(self.inputs[0].shape[axis] for axis in self.permutation),)

    def summary(self) -> str:
        return f"transpose to axes {', '.join(str(axis) for axis in self.permutation)}"

    def nests(self) -> Sequence[Nest]:
        """Element by element of the output."""
        read, y = dense(self.inputs[0].shape), self.outputs[0].shape
        steps = zip(y, self.permutation, dense(y), strict=True)
        return [Nest(tuple(Loop(count, read[axis], write) for count, axis, write in steps))]

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (np.ascontiguousarray(np.asarray(inputs[0]).transpose(self.permutation)),)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        if self.permutation[0] != 0:
            self.refuse("moves the batch axis")
        return self.spec(*inputs)
