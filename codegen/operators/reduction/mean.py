"""MEAN: out = requantise(sum over the axes of (in - zero_in), divided by their size)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from driftc.codegen.arithmetic import INT32_MAX, Int64, Multiplier, quantize_multiplier
from driftc.codegen.operators.base import Box
from driftc.codegen.operators.channelwise import at_corners
from driftc.codegen.operators.quantised import require_room
from driftc.codegen.operators.ranges import Ranges
from driftc.codegen.operators.reduction.reduce import Reduce
from driftc.codegen.tensor import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Mean(Reduce):
    """Average over `axes`."""

    codes = ("MEAN",)
    template = "mean"
    arithmetic = (
        "int32 sum without zero point over n values; multiplier float64(scale_in) / float64(scale_out) as Q0.31 and "
        "shift, shifted left by k = min(floor(log2 n), 31 + shift) and divided by n (truncating), k taken off the "
        "shift; double rounding; zero point; saturated. Refused where the sum can overflow int32."
    )

    averaged: int | None = None  # of a part that sums some of them: values that make one output of the whole

    @property
    def count(self) -> int:
        """How many values make one output."""
        return self.averaged or self.summed

    @cached_property
    def multiplier(self) -> Multiplier:
        """scale_in / (scale_out * count), rounded as TFLite does."""
        return self.rescaled(min(self.count.bit_length() - 1, 32), self.count)

    def rescaled(self, extra: int, divisor: int) -> Multiplier:
        """scale_in / scale_out with up to `extra` more bits, over `divisor`."""
        try:
            value, shift = quantize_multiplier(self.inputs[0].scale / self.outputs[0].scale)
        except ValueError as problem:
            self.refuse(f"requantisation: {problem}")
        extra = min(extra, 31 + shift)
        found = Multiplier(np.array([(value << extra) // divisor]), np.array([shift - extra]))
        require_room(self, found, 255 * self.count)
        return found

    def channel_ranges(self, inputs: Sequence[Ranges]) -> Ranges | None:
        return at_corners(self, inputs) if self.by_channel else None

    @property
    def sums_rows(self) -> bool:
        return self.by_channel and len(self.inputs[0].shape) > 2

    def check(self) -> None:
        super().check()
        if 255 * self.count > INT32_MAX:
            self.refuse(f"adds up {self.count} values, whose sum can overflow int32")
        _ = self.multiplier

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
        return (np.asarray(inputs[0].mean(axis=self.axes, keepdims=self.keep_dims), np.float32),)

    def part(self, box: Box, reduce: range | None = None) -> Self:
        part = super().part(box, reduce)
        return part if part is self else replace(part, averaged=self.count)
