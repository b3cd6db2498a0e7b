"""SPLIT: equal pieces of the input along an axis, one to each output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.graph import Shape
from driftc.codegen.operators.base import Array, Operator
from driftc.codegen.operators.reduction.axes import int32s, normalised
from driftc.codegen.operators.walk import Walk, as_rows, row_major

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class Split(Operator):
    """As many pieces as outputs."""

    codes = ("SPLIT",)
    template = "split"
    arithmetic = "Bytes are copied."

    axis: int

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
        return cls(**node.common(x), axis=place)

    def infer(self) -> tuple[Shape, ...]:
        shape = self.inputs[0].shape
        piece = shape[self.axis] // len(self.outputs)
        return ((*shape[: self.axis], piece, *shape[self.axis + 1 :]),) * len(self.outputs)

    def summary(self) -> str:
        return f"split in {len(self.outputs)} along axis {self.axis}"

    def walk(self, backward: bool = False) -> Walk | None:
        """Output after output, each element by element."""
        counts = np.cumsum([0, *(tensor.size for tensor in self.outputs)])
        written = [row_major(tensor.shape) + start for tensor, start in zip(self.outputs, counts, strict=False)]
        return Walk((as_rows(np.concatenate(written, axis=self.axis)),), tuple(as_rows(steps) for steps in written))

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        return tuple(np.ascontiguousarray(p) for p in np.split(np.asarray(inputs[0]), len(self.outputs), self.axis))
