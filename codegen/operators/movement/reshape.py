"""RESHAPE: the same elements under the shape that the file gives the output."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.movement.view import View
from driftc.codegen.tensor import Shape

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class Reshape(View):
    """The shape operand says what the output tensor says, which TFLite Micro takes; it is read where that is open."""

    codes = ("RESHAPE",)
    dtypes = ("int8", "int32", "bool")

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        node.require(len(node.inputs) <= 2, f"has {len(node.inputs)} inputs, not 1 or 2")
        x, shape = node.input(0), node.output().shape
        if node.optional(1) is not None:
            wanted = node.integers(1)
            if node.open:
                rest = prod(n for n in wanted if n != -1)
                shape = tuple(x.size // rest if n == -1 and rest else n for n in wanted)
                node.require(all(n > 0 for n in shape), f"cannot make {list(wanted)} of {list(x.shape)}")
        return cls(**node.common(x) | {"outputs": (replace(node.output(), shape=shape),)})

    def stored(self) -> Stored:
        shape = self.outputs[0].shape
        return Stored((*self.inputs, np.array(shape, np.int32)), "ReshapeOptions", {"NewShape": shape}, version=1)

    def infer(self) -> tuple[Shape, ...]:
        x, y = self.inputs[0], self.outputs[0]
        if x.size != y.size:
            self.refuse(f"cannot make {list(y.shape)} of {list(x.shape)}: {x.size} elements are not {y.size}")
        return (y.shape,)
