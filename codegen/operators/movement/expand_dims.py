"""EXPAND_DIMS: with a new axis of extent 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.movement.view import View
from driftc.codegen.operators.reduction.axes import int32s, normalised
from driftc.codegen.tensor import Shape

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class ExpandDims(View):
    """`axis` (not negative) is where the new axis stands in the output."""

    codes = ("EXPAND_DIMS",)

    dtypes = ("int8",)  # TFLite Micro refuses int32 here

    axis: int

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        x, axis = node.input(0), int32s(node, 1, "the axis")
        node.require(len(axis) == 1, f"has {len(axis)} axes, not 1")
        return cls(**node.common(x), axis=normalised(node, axis, len(x.shape) + 1)[0])

    def stored(self) -> Stored:
        return Stored((*self.inputs, np.array([self.axis], np.int32)), "ExpandDimsOptions", version=1)

    def infer(self) -> tuple[Shape, ...]:
        shape = self.inputs[0].shape
        return ((*shape[: self.axis], 1, *shape[self.axis :]),)
