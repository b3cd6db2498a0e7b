"""MEAN: out = requantise(sum over the axes of (in - zero_in), divided by their size)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.arithmetic import INT32_MAX, Int64, Multiplier, quantize_multiplier
from driftc.codegen.graph import Shape
from driftc.codegen.operators.base import Array, Box, Operator, Stored, Tiling, cut
from driftc.codegen.operators.quantised import require_quantised, require_room
from driftc.codegen.operators.ranges import Ranges, at_corners
from driftc.codegen.operators.reduction.axes import normalised
from driftc.codegen.operators.walk import Walk, as_rows, row_major

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

LARGEST_RANK = 6


@dataclass(frozen=True, eq=False, kw_only=True)
class Mean(Operator):
    """Average over `axes`."""

    codes = ("MEAN",)
    template = "mean"
    tiling = Tiling.CHANNELS
    arithmetic = (
        "int32 sum without zero point over n values; multiplier float64(scale_in) / float64(scale_out) as Q0.31 and "
        "shift, shifted left by k = min(floor(log2 n), 31 + shift) and divided by n (truncating), k taken off the "
        "shift; double rounding; zero point; saturated. Refused where the sum can overflow int32."
    )

    axes: tuple[int, ...]  # sorted, not negative
    keep_dims: bool = False
    averaged: int | None = None  # of a part that sums some of them: values that make one output of the whole

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
    def count(self) -> int:
        """How many values make one output."""
        return self.averaged or self.summed

    @property
    def summed(self) -> int:
        """How many values are added up for it here."""
        return prod(self.inputs[0].shape[axis] for axis in self.axes)

    @cached_property
    def multiplier(self) -> Multiplier:
        """scale_in / (scale_out * count), rounded as TFLite does."""
        try:
            value, shift = quantize_multiplier(self.inputs[0].scale / self.outputs[0].scale)
        except ValueError as problem:
            self.refuse(f"requantisation: {problem}")
        extra = min(self.count.bit_length() - 1, 32, 31 + shift)
        found = Multiplier(np.array([(value << extra) // self.count]), np.array([shift - extra]))
        require_room(self, found, 255 * self.count)
        return found

    def channel_ranges(self, inputs: Sequence[Ranges]) -> Ranges | None:
        return at_corners(self, inputs) if self.by_channel else None

    @property
    def by_channel(self) -> bool:
        """All but the last axis is averaged, so that channels are independent of each other."""
        last = len(self.inputs[0].shape) - 1
        others = (extent for axis, extent in enumerate(self.inputs[0].shape[:last]) if axis not in self.axes)
        return last not in self.axes and all(extent == 1 for extent in others)

    @property
    def sums_rows(self) -> bool:
        return self.by_channel and len(self.inputs[0].shape) > 2

    def infer(self) -> tuple[Shape, ...]:
        shape = self.inputs[0].shape
        if self.keep_dims:
            return (tuple(1 if axis in self.axes else extent for axis, extent in enumerate(shape)),)
        return (tuple(extent for axis, extent in enumerate(shape) if axis not in self.axes),)

    def check(self) -> None:
        super().check()
        require_quantised(self, *self.inputs, *self.outputs)
        if 255 * self.count > INT32_MAX:
            self.refuse(f"averages {self.count} values, whose sum can overflow int32")
        _ = self.multiplier

    def summary(self) -> str:
        return f"mean of {self.count} values"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (self.requantise(self.accumulate(inputs[0])),)

    def accumulate(self, x: Array) -> Int64:
        """Sums without zero points, int64."""
        sums = np.asarray(x).sum(axis=self.axes, dtype=np.int64) - self.inputs[0].zero_point * self.summed
        return np.asarray(sums, np.int64)

    def requantise(self, sums: Int64) -> Array:
        """Finished sums as the output's int8."""
        result = self.multiplier.apply(sums) + self.outputs[0].zero_point
        return np.asarray(np.clip(result, -128, 127), np.int8).reshape(self.outputs[0].shape)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        if 0 in self.axes:
            self.refuse("averages along the batch axis")
        return (np.asarray(inputs[0].mean(axis=self.axes, keepdims=self.keep_dims), np.float32),)

    def walk(self, backward: bool = False) -> Walk | None:
        """Result by result, each from all the values it averages."""
        shape = self.inputs[0].shape
        steps = row_major(tuple(1 if axis in self.axes else extent for axis, extent in enumerate(shape)))
        return Walk((as_rows(np.broadcast_to(steps, shape)),), (steps.reshape(self.outputs[0].hwc),))

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
            raise ValueError(f"{self.name}: only a mean of whole channels is computed in parts, channel by channel")
        return replace(
            self,
            inputs=(cut(self.inputs[0], self.needs(box, reduce)[0]),),
            outputs=(cut(self.outputs[0], box),),
            axes=(1, 2),
            keep_dims=True,
            averaged=self.count,
        )
