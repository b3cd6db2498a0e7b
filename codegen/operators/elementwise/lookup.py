"""Shared by maps of one int8 value to another: whatever the arithmetic, the C is a table of 256 results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.arithmetic import INT32_MIN, Int64, round_half_away
from driftc.codegen.operators.base import Box, Operator, Stored, Tiling, cut
from driftc.codegen.operators.channelwise import channelwise
from driftc.codegen.operators.quantised import require_quantised
from driftc.codegen.operators.ranges import Ranges
from driftc.codegen.tensor import Array, Shape

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class Lookup(Operator):
    """out[i] = function(in[i]); subclasses define `function`."""

    template = "lookup"
    tiling = Tiling.ROWS | Tiling.CHANNELS

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        return cls(**node.common(node.input(0)))

    def stored(self) -> Stored:
        return Stored(self.inputs)

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape,)

    def check(self) -> None:
        super().check()
        require_quantised(self, *self.inputs, *self.outputs)

    def function(self, x: Int64) -> Int64:
        """The result for each raw value; it may lie outside int8, where it saturates."""
        raise NotImplementedError

    @property
    def clamp(self) -> tuple[int, int] | None:
        """Smallest and largest result, where the map only clamps raw values; else None."""
        return None

    @cached_property
    def table(self) -> Array:
        """The results for -128..127, or 0..255 where the input is uint8."""
        low, high = self.inputs[0].limits
        return self.values(np.arange(low, high + 1, dtype=np.int64))

    def values(self, x: Int64) -> Array:
        return np.clip(self.function(x), *self.outputs[0].limits).astype(self.outputs[0].dtype)

    def channel_ranges(self, inputs: Sequence[Ranges]) -> Ranges | None:
        if not channelwise(self):
            return None
        results, first = self.table.astype(np.int64), int(np.iinfo(self.inputs[0].dtype).min)
        spans = [results[low - first : high - first + 1] for low, high in zip(*inputs[0], strict=True)]
        return np.array([span.min() for span in spans]), np.array([span.max() for span in spans])

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        if self.is_float:  # between DEQUANTIZE and QUANTIZE, before `tabulate`
            return self.float_spec(*inputs)
        return (self.values(np.asarray(inputs[0], np.int64)),)

    def on_reals(self, x: Array) -> Array:
        """`function` on real values: of float32, what TFLite's float kernel gives."""
        raise NotImplementedError

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (np.asarray(self.on_reals(inputs[0]), np.float32),)

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        return (box,)

    def part(self, box: Box, reduce: range | None = None) -> Self:
        if reduce is not None:
            raise ValueError(f"{self.name}: {self.kind} sums nothing")
        return replace(self, inputs=(cut(self.inputs[0], box),), outputs=(cut(self.outputs[0], box),))


@dataclass(frozen=True, eq=False, kw_only=True)
class Tabulated(Lookup):
    """A table that TFLite, too, fills in float32: `kernels/internal/common.h`, LUTPopulate."""

    def transform(self, x: Array) -> Array:
        """The function on float32, as the table is filled."""
        return self.on_reals(x)

    def function(self, x: Int64) -> Int64:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            reals = np.float32(self.inputs[0].scale) * (x - self.inputs[0].zero_point).astype(np.float32)
            steps = np.asarray(self.transform(reals), np.float32) * (np.float32(1) / np.float32(self.outputs[0].scale))
            return self.cast(round_half_away(steps) + np.float32(self.outputs[0].zero_point))

    def cast(self, x: Array) -> Int64:
        """float32 to int8, saturated; 0 for NaN, as x86 has it."""
        return np.asarray(np.nan_to_num(np.clip(x, -128, 127), nan=0.0), np.int64)


TABULATED = (
    "float32: scale_in * (in - zero_in); {}; times float32(1 / scale_out), rounded, halves away from zero; plus "
    "zero_out, saturated. A table of 256 in C."
)


def truncated(x: Array) -> Int64:
    """float32 to int32 towards zero, as x86 casts: INT32_MIN for what int32 does not hold."""
    fits = np.abs(x) < np.float32(2**31)
    return np.where(fits, np.where(fits, x, 0).astype(np.int64), INT32_MIN)
