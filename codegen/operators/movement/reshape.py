"""RESHAPE: the same elements under the shape that the file gives the output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.graph import Shape
from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.movement.view import View

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class Reshape(View):
    """The shape operand is not read: the output tensor has its value, as TFLite Micro takes it too."""

    codes = ("RESHAPE",)

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        node.require(len(node.inputs) <= 2, f"has {len(node.inputs)} inputs, not 1 or 2")
        return cls(**node.common(node.input(0)))

    def stored(self) -> Stored:
        shape = self.outputs[0].shape
        return Stored((*self.inputs, np.array(shape, np.int32)), "ReshapeOptions", {"NewShape": shape}, version=1)

    def infer(self) -> tuple[Shape, ...]:
        x, y = self.inputs[0], self.outputs[0]
        if x.size != y.size:
            self.refuse(f"cannot make {list(y.shape)} of {list(x.shape)}: {x.size} elements are not {y.size}")
        return (y.shape,)
