"""STRIDED_SLICE: every stride-th element of a range on each axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.graph import Shape
from driftc.codegen.operators.base import Array, Operator, Stored
from driftc.codegen.operators.reduction.axes import int32s
from driftc.codegen.operators.walk import NEVER, Walk, as_rows, row_major

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

LARGEST_RANK = 4


@dataclass(frozen=True, eq=False, kw_only=True)
class StridedSlice(Operator):
    """Per input axis: the first index, how many are taken, and the step, which may be negative."""

    codes = ("STRIDED_SLICE",)
    template = "strided_slice"
    keeps_scale = True
    arithmetic = "Bytes are copied. Begin and end beyond the tensor are clamped to it, as TFLite does."

    begin: tuple[int, ...]
    counts: tuple[int, ...]
    strides: tuple[int, ...]
    dropped: frozenset[int]  # axes that the output does not have; one index of each is taken

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        x, options = node.input(0), node.options("StridedSliceOptions")
        rank = len(x.shape)
        node.require(1 <= rank <= LARGEST_RANK, f"needs 1 to {LARGEST_RANK} axes, not shape {list(x.shape)}")
        begin, end, strides = (int32s(node, i, what) for i, what in ((1, "begin"), (2, "end"), (3, "strides")))
        node.require(
            len(begin) == len(end) == len(strides) == rank,
            f"has {len(begin)} begins, {len(end)} ends and {len(strides)} strides for {rank} axes",
        )
        for name in ("EllipsisMask", "NewAxisMask", "Offset"):
            node.require(not getattr(options, name, int)(), f"{name} is not supported; nor is it by TFLite Micro")
        masks = (int(options.BeginMask()), int(options.EndMask()), int(options.ShrinkAxisMask()))
        ranges: list[range] = []
        for axis, extent in enumerate(x.shape):
            from_start, to_end, shrink = (bool(mask >> axis & 1) for mask in masks)
            node.require(strides[axis] != 0, f"the stride of axis {axis} is 0")
            ends = slice(None if from_start else begin[axis], None if to_end else end[axis], strides[axis])
            taken = range(*ends.indices(extent))
            if shrink:
                first = taken.start
                node.require(strides[axis] > 0 and first < extent, f"index {begin[axis]} does not exist on axis {axis}")
                taken = range(first, first + 1)
            node.require(len(taken) > 0, f"takes nothing of axis {axis}")
            ranges.append(taken)
        return cls(
            **node.common(x),
            begin=tuple(taken.start for taken in ranges),
            counts=tuple(len(taken) for taken in ranges),
            strides=tuple(taken.step for taken in ranges),
            dropped=frozenset(axis for axis in range(rank) if masks[2] >> axis & 1),
        )

    def stored(self) -> Stored:
        if min(self.strides) < 1:
            self.refuse("cannot be written to a .tflite file: it runs backwards")
        taken = zip(self.begin, self.counts, self.strides, strict=True)
        ends = [first + (count - 1) * step + 1 for first, count, step in taken]
        bounds = [np.array(values, np.int32) for values in (self.begin, ends, self.strides)]
        mask = sum(1 << axis for axis in self.dropped)
        return Stored((*self.inputs, *bounds), "StridedSliceOptions", {"ShrinkAxisMask": mask})

    def infer(self) -> tuple[Shape, ...]:
        return (tuple(count for axis, count in enumerate(self.counts) if axis not in self.dropped),)

    def summary(self) -> str:
        return "slice"

    def walk(self, backward: bool = False) -> Walk | None:
        """Element by element of the output."""
        steps = row_major(self.counts)
        ranges = zip(self.begin, self.counts, self.strides, strict=True)
        read = np.full(self.inputs[0].shape, NEVER, np.int64)
        read[np.ix_(*(first + step * np.arange(count) for first, count, step in ranges))] = steps
        return Walk((as_rows(read),), (as_rows(steps.reshape(self.outputs[0].shape)),))

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (self.picked(np.asarray(inputs[0]), 0).reshape(self.outputs[0].shape),)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        if self.inputs[0].shape[0] != self.counts[0] or 0 in self.dropped:
            self.refuse("slices the batch axis")
        return (self.picked(inputs[0], 1).reshape(-1, *self.outputs[0].shape[1:]),)

    def picked(self, x: Array, first_axis: int) -> Array:
        """The elements that are taken, on the axes from `first_axis` up."""
        ranges = list(enumerate(zip(self.begin, self.counts, self.strides, strict=True)))
        for axis, (first, count, step) in ranges[first_axis:]:
            x = x.take(first + step * np.arange(count), axis=axis)
        return x
