"""STRIDED_SLICE: every stride-th element of a range on each axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.movement.move import Indices
from driftc.codegen.operators.movement.selection import Selection
from driftc.codegen.operators.reduction.axes import int32s
from driftc.codegen.tensor import Array, Shape

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

LARGEST_RANK = 5
NEW = -1  # an axis of the output that the input does not have


@dataclass(frozen=True, eq=False, kw_only=True)
class StridedSlice(Selection):
    """Per input axis: the first index, how many are taken, and the step, which may be negative.

    `axes`: for each axis of the output the input axis that it comes from, or NEW. Of the others one index is taken.
    """

    codes = ("STRIDED_SLICE",)
    arithmetic = "Bytes are copied. Begin and end beyond the tensor are clamped to it, as TFLite does."
    compared = "TFLite Micro; LiteRT (ellipses and new axes: LiteRT alone, TFLite Micro has none)"

    begin: tuple[int, ...]
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    axes: tuple[int, ...]

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        x, options = node.input(0), node.options("StridedSliceOptions")
        rank = len(x.shape)
        node.require(1 <= rank <= LARGEST_RANK, f"needs 1 to {LARGEST_RANK} axes, not shape {list(x.shape)}")
        begin, end, strides = (int32s(node, i, what) for i, what in ((1, "begin"), (2, "end"), (3, "strides")))
        node.require(not getattr(options, "Offset", bool)(), "Offset is not supported; nor is it by TFLite Micro")
        whole, new = int(options.EllipsisMask()), int(options.NewAxisMask()) & ~int(options.EllipsisMask())
        places = range(len(begin))
        node.require(
            len(begin) == len(end) == len(strides) and whole & (whole - 1) == 0 and whole >> len(begin) == 0,
            f"has {len(begin)} begins, {len(end)} ends and {len(strides)} strides, ellipses {whole:b}",
        )
        said = sum(1 for place in places if not (whole | new) >> place & 1)  # axes that are named
        node.require(
            said < rank if whole else said == rank,  # an ellipsis of no axes is one of an axis to LiteRT
            f"has {said} begins, ends and strides for {rank} axes",
        )
        masks = (int(options.BeginMask()), int(options.EndMask()), int(options.ShrinkAxisMask()))
        ranges: list[range] = []
        axes: list[int] = []
        for place in places:
            if whole >> place & 1:
                span = range(len(ranges), len(ranges) + rank - said)
                axes += span
                ranges += [range(x.shape[axis]) for axis in span]
                continue
            if new >> place & 1:
                axes.append(NEW)
                continue
            axis = len(ranges)
            from_start, to_end, shrink = (bool(mask >> place & 1) for mask in masks)
            node.require(strides[place] != 0, f"the stride of axis {axis} is 0")
            ends = slice(None if from_start else begin[place], None if to_end else end[place], strides[place])
            taken = range(*ends.indices(x.shape[axis]))
            if shrink:
                first = taken.start
                there = strides[place] > 0 and first < x.shape[axis]
                node.require(there, f"index {begin[place]} does not exist on axis {axis}")
                taken = range(first, first + 1)
            else:
                axes.append(axis)
            node.require(len(taken) > 0, f"takes nothing of axis {axis}")
            ranges.append(taken)
        return cls(
            **node.common(x),
            begin=tuple(taken.start for taken in ranges),
            sizes=tuple(len(taken) for taken in ranges),
            strides=tuple(taken.step for taken in ranges),
            axes=tuple(axes),
        )

    def stored(self) -> Stored:
        bounds: list[tuple[int, int, int]] = []
        masks = {"EndMask": 0, "ShrinkAxisMask": 0, "NewAxisMask": 0}
        axes = iter(self.axes)
        here = next(axes, None)
        for axis, (first, count, step) in enumerate(zip(self.begin, self.sizes, self.strides, strict=True)):
            while here == NEW:
                masks["NewAxisMask"] |= 1 << len(bounds)
                bounds.append((0, 1, 1))
                here = next(axes, None)
            end = first + count * step
            masks["EndMask"] |= int(end < 0) << len(bounds)
            masks["ShrinkAxisMask"] |= int(here != axis) << len(bounds)
            here = next(axes, None) if here == axis else here
            bounds.append((first, end, step))
        while here == NEW:
            masks["NewAxisMask"] |= 1 << len(bounds)
            bounds.append((0, 1, 1))
            here = next(axes, None)
        operands = [np.array(values, np.int32) for values in zip(*bounds, strict=True)]
        return Stored((*self.inputs, *operands), "StridedSliceOptions", masks)

    def infer(self) -> tuple[Shape, ...]:
        if self.pieces is not None:
            return super().infer()
        return (tuple(1 if axis == NEW else self.sizes[axis] for axis in self.axes),)

    def summary(self) -> str:
        return "slice"

    def taken(self) -> tuple[Indices, ...]:
        ranges = zip(self.begin, self.sizes, self.strides, strict=True)
        return tuple(first + step * np.arange(count) for first, count, step in ranges)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        if self.axes[:1] != (0,):
            self.refuse("slices the batch axis")
        return super().float_spec(*inputs)
