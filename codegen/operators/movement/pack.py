"""PACK: the inputs beside each other along a new axis."""

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
class Pack(Move):
    """`axis` (not negative) is where the new axis stands in the output. Inputs may be constant."""

    codes = ("PACK",)
    arithmetic = "Bytes are copied."

    axis: int

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        inputs, options = tuple(node.input(i) for i in range(len(node.inputs))), node.options("PackOptions")
        node.require(len(inputs) > 0, "has no inputs")
        count = int(options.ValuesCount())
        node.require(count == len(inputs), f"packs {count}, but has {len(inputs)} inputs")
        return cls(**node.common(*inputs), axis=normalised(node, [int(options.Axis())], len(inputs[0].shape) + 1)[0])

    def stored(self) -> Stored:
        return Stored(self.inputs, "PackOptions", {"ValuesCount": len(self.inputs), "Axis": self.axis})

    def infer(self) -> tuple[Shape, ...]:
        first = self.inputs[0].shape
        for tensor in self.inputs:
            if tensor.shape != first:
                self.refuse(f"cannot pack {list(first)} and {list(tensor.shape)}")
        return ((*first[: self.axis], len(self.inputs), *first[self.axis :]),)

    def summary(self) -> str:
        return f"pack along axis {self.axis}"

    def nests(self) -> Sequence[Nest]:
        return along(self.outputs[0].shape, self.axis, [1] * len(self.inputs), joins=True)

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (np.stack([np.asarray(part) for part in inputs], axis=self.axis),)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        if self.axis == 0 or any(tensor.data is not None for tensor in self.inputs):
            self.refuse("packs samples or constants")
        return self.spec(*inputs)
