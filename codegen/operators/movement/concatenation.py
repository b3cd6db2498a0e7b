"""CONCATENATION: the inputs one after another along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.graph import Shape
from driftc.codegen.operators.base import Activation, Array, Stored
from driftc.codegen.operators.movement.move import Move, Nest
from driftc.codegen.operators.movement.pieces import along
from driftc.codegen.operators.quantised import require_same
from driftc.codegen.operators.reduction.axes import normalised

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

LARGEST_RANK = 6
MOST_INPUTS = 10


@dataclass(frozen=True, eq=False, kw_only=True)
class Concatenation(Move):
    """Inputs may be constant. All have the output's scale and zero point."""

    codes = ("CONCATENATION",)
    arithmetic = "Bytes are copied. Refused where an input is quantised otherwise than the output."

    axis: int

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

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (np.concatenate([np.asarray(part) for part in inputs], axis=self.axis),)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        if self.axis == 0 or any(tensor.data is not None for tensor in self.inputs):
            self.refuse("joins samples or constants")
        return self.spec(*inputs)
