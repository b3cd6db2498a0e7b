"""SQUEEZE: without the axes of extent 1 that are named, or without all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.movement.view import View
from driftc.codegen.operators.reduction.axes import normalised
from driftc.codegen.tensor import Shape

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class Squeeze(View):
    """`axes` (not negative) are dropped."""

    codes = ("SQUEEZE",)

    axes: frozenset[int]

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        x, options = node.input(0), node.options("SqueezeOptions")
        count = int(options.SqueezeDimsLength())
        node.require(0 <= count <= 8, f"names {count} axes")
        axes = normalised(node, [int(options.SqueezeDims(i)) for i in range(count)], len(x.shape))
        for axis in axes:
            node.require(x.shape[axis] == 1, f"cannot drop axis {axis} of {list(x.shape)}: its extent is not 1")
        ones = [axis for axis, extent in enumerate(x.shape) if extent == 1]
        return cls(**node.common(x), axes=frozenset(axes if count else ones))

    def stored(self) -> Stored:
        return Stored(self.inputs, "SqueezeOptions", {"SqueezeDims": sorted(self.axes)})

    def infer(self) -> tuple[Shape, ...]:
        return (tuple(extent for axis, extent in enumerate(self.inputs[0].shape) if axis not in self.axes),)
