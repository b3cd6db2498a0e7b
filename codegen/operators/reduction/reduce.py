"""Shared by operators that make one value of all values along some axes: MEAN, SUM, REDUCE_MAX, REDUCE_MIN."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from driftc.codegen.operators.base import Box, Operator, Stored, Tiling, cut
from driftc.codegen.operators.quantised import require_quantised
from driftc.codegen.operators.reduction.axes import normalised
from driftc.codegen.tensor import Shape

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

LARGEST_RANK = 6


@dataclass(frozen=True, eq=False, kw_only=True)
class Reduce(Operator):
    """One value of those along `axes`."""

    tiling = Tiling.CHANNELS

    axes: tuple[int, ...]  # sorted, not negative
    keep_dims: bool = False

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        x = node.input(0)
        node.require(1 <= len(x.shape) <= LARGEST_RANK, f"needs 1 to {LARGEST_RANK} axes, not shape {list(x.shape)}")
        return cls(
            **node.common(x),
            axes=tuple(sorted(set(normalised(node, node.integers(1), len(x.shape))))),
            keep_dims=bool(node.options("ReducerOptions").KeepDims()),
        )

    def stored(self) -> Stored:
        return Stored((*self.inputs, np.array(self.axes, np.int32)), "ReducerOptions", {"KeepDims": self.keep_dims})

    @property
    def summed(self) -> int:
        """How many values make one output here."""
        return prod(self.inputs[0].shape[axis] for axis in self.axes)

    @property
    def by_channel(self) -> bool:
        """All but the last axis is reduced, so that channels are independent of each other."""
        last = len(self.inputs[0].shape) - 1
        others = (extent for axis, extent in enumerate(self.inputs[0].shape[:last]) if axis not in self.axes)
        return last not in self.axes and all(extent == 1 for extent in others)

    def infer(self) -> tuple[Shape, ...]:
        shape = self.inputs[0].shape
        if self.keep_dims:
            return (tuple(1 if axis in self.axes else extent for axis, extent in enumerate(shape)),)
        return (tuple(extent for axis, extent in enumerate(shape) if axis not in self.axes),)

    def check(self) -> None:
        super().check()
        require_quantised(self, *self.inputs, *self.outputs)

    def summary(self) -> str:
        return f"{self.kind.removeprefix('REDUCE_').lower()} of {self.summed} values"

    def check_float(self) -> None:
        super().check_float()
        if 0 in self.axes:
            self.refuse("reduces the batch axis, of which driftc has one sample")

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        height, _, channels = self.inputs[0].hwc
        rows = (0, height) if reduce is None else (reduce.start, reduce.stop)
        return (Box(*rows, *((box.channel0, box.channel1) if self.by_channel else (0, channels))),)

    def part(self, box: Box, reduce: range | None = None) -> Self:
        """With `reduce`, the input rows in it alone."""
        height, _, channels = self.outputs[0].hwc
        if reduce is None and box == Box(0, height, 0, channels):
            return self
        if not self.by_channel or (box.row0, box.row1) != (0, height):
            raise ValueError(f"{self.name}: only whole channels are reduced in parts, channel by channel")
        changes: dict[str, Any] = {
            "inputs": (cut(self.inputs[0], self.needs(box, reduce)[0]),),
            "outputs": (cut(self.outputs[0], box),),
            "axes": (1, 2),
            "keep_dims": True,
        }
        return replace(self, **changes)
