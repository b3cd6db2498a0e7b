"""PAD and PADV2: the input with a constant around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.operators.base import Box, Operator, Stored, Tiling, cut
from driftc.codegen.operators.channelwise import at_corners
from driftc.codegen.operators.movement.move import Loop, Nest, dense
from driftc.codegen.operators.quantised import require_quantised
from driftc.codegen.operators.ranges import Ranges
from driftc.codegen.operators.reduction.axes import int32s
from driftc.codegen.tensor import Array, Shape, Tensor

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

LARGEST_RANK = 5
LARGEST_PADDING = 1 << 26


@dataclass(frozen=True, eq=False, kw_only=True)
class Pad(Operator):
    """`paddings` elements of `value` before and after the input, on each axis."""

    codes = ("PAD", "PADV2")
    template = "pad"
    keeps_scale = True
    tiling = Tiling.ROWS | Tiling.CHANNELS
    arithmetic = (
        "Bytes are copied; PAD writes the output's zero point around them, PADV2 the given byte, which must have the "
        "output's scale and zero point."
    )

    paddings: tuple[tuple[int, int], ...]
    value: int  # the raw byte
    real: float = 0.0  # the value before `quantize`

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        x, y = node.input(0), node.output()
        rank = len(x.shape)
        node.require(1 <= rank <= LARGEST_RANK, f"needs 1 to {LARGEST_RANK} axes, not shape {list(x.shape)}")
        amounts = int32s(node, 1, "paddings")
        node.require(len(amounts) == 2 * rank, f"has {len(amounts)} paddings for {rank} axes")
        node.require(all(0 <= n < LARGEST_PADDING for n in amounts), f"paddings {list(amounts)} are out of range")
        made = cls(
            **node.common(x),
            paddings=tuple(zip(amounts[::2], amounts[1::2], strict=True)),
            value=0,
        )
        if y.dtype == np.float32:
            return replace(made, real=float(node.constant(2).reshape(-1)[0]) if len(node.inputs) > 2 else 0.0)
        require_quantised(made, y)
        value = y.zero_point
        if len(node.inputs) > 2:
            fill = node.input(2)
            data = node.constant(2)
            node.require(data.dtype == np.int8 and data.size == 1, f"the padding value '{fill.label}' must be one int8")
            require_quantised(made, fill)
            node.require(
                (fill.scale, fill.zero_point) == (y.scale, y.zero_point),
                f"the padding value '{fill.label}' must have the output's scale and zero point",
            )
            value = int(data.reshape(-1)[0])
        return replace(made, value=value)

    def stored(self) -> Stored:
        y = self.outputs[0]
        amounts = np.array(self.paddings, np.int32)
        if self.value == y.zero_point:
            return Stored((*self.inputs, amounts), "PadOptions", code="PAD")
        fill = Tensor(f"{self.name}/value", (1,), y.dtype, y.quantization, np.array([self.value], np.int8))
        return Stored((*self.inputs, amounts, fill), "PadV2Options", code="PADV2")

    def quantized(self, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Self:
        steps = np.clip(self.real / outputs[0].scale + outputs[0].zero_point, -128, 127)
        return replace(self, inputs=inputs, outputs=outputs, value=int(np.rint(steps)))

    def infer(self) -> tuple[Shape, ...]:
        return (tuple(n + sum(pair) for n, pair in zip(self.inputs[0].shape, self.paddings, strict=True)),)

    def check(self) -> None:
        super().check()
        require_quantised(self, *self.outputs)

    def summary(self) -> str:
        return f"padding with {self.real if self.is_float else self.value:g}"

    def channel_ranges(self, inputs: Sequence[Ranges]) -> Ranges | None:
        return at_corners(self, inputs) if self.spatial is not None else None

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (np.pad(np.asarray(inputs[0]), self.paddings, constant_values=self.value),)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        if self.paddings[0] != (0, 0):
            self.refuse("pads the batch axis")
        return (np.pad(inputs[0], self.paddings, constant_values=np.float32(self.real)),)

    @property
    def spatial(self) -> tuple[int, int, int, int] | None:
        """Top, bottom, left and right, where only rows and pixels of an [N, H, W, C] tensor are padded; else None."""
        if len(self.paddings) != 4 or self.paddings[0] != (0, 0) or self.paddings[3] != (0, 0):
            return None
        return (*self.paddings[1], *self.paddings[2])

    @property
    def by_part(self) -> bool:
        """Rows of the output come from rows of the input: no axis before the last three is padded."""
        outer = len(self.paddings) - 3
        return outer < 0 or (all(pair == (0, 0) for pair in self.paddings[:outer]) and self._rows_alone(outer))

    def _rows_alone(self, outer: int) -> bool:
        single = all(n == 1 for n in self.inputs[0].shape[:outer])
        return single or self.paddings[outer] == (0, 0)

    @property
    def divisible(self) -> Tiling:
        return self.tiling if self.by_part else Tiling.NONE

    def nests(self) -> list[Nest]:
        """The copies of the input, behind the filling."""
        x, read, write = self.inputs[0].shape, dense(self.inputs[0].shape), dense(self.outputs[0].shape)
        loops = tuple(Loop(*each) for each in zip(x, read, write, strict=True))
        return [Nest(loops, 0, sum(pair[0] * step for pair, step in zip(self.paddings, write, strict=True)))]

    def margins(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Padding of rows, pixels and channels, where `by_part`."""
        none = (0, 0)
        if len(self.paddings) == 1:
            return none, none, self.paddings[0]
        padded = (none, *self.paddings)[-3:]
        return padded[0], padded[1], padded[2]

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        rows, _, channels = self.inputs[0].hwc
        if not self.by_part:
            return (Box(0, rows, 0, channels),)
        (top, _), _, (front, _) = self.margins()
        return (
            Box(
                *_within(box.row0 - top, box.row1 - top, rows),
                *_within(box.channel0 - front, box.channel1 - front, channels),
            ),
        )

    def part(self, box: Box, reduce: range | None = None) -> Self:
        height, _, depth = self.outputs[0].hwc
        if reduce is None and box == Box(0, height, 0, depth):
            return self
        if reduce is not None or not self.by_part:
            raise ValueError(f"{self.name}: padding of leading axes is not computed in parts")
        need = self.needs(box)[0]
        (top, _), pixels, (front, _) = self.margins()
        above, left = max(0, min(top, box.row1) - box.row0), max(0, min(front, box.channel1) - box.channel0)
        inner_rows, inner_channels = need.row1 - need.row0, need.channel1 - need.channel0
        if not inner_rows or not inner_channels:
            raise ValueError(f"{self.name}: rows or channels of padding alone are not computed by themselves")
        below = box.row1 - box.row0 - above - inner_rows
        right = box.channel1 - box.channel0 - left - inner_channels
        return replace(
            self,
            inputs=(cut(self.inputs[0], need),),
            outputs=(cut(self.outputs[0], box),),
            paddings=((0, 0), (above, below), pixels, (left, right)),
        )


def _within(first: int, last: int, size: int) -> tuple[int, int]:
    return max(0, min(first, size)), max(0, min(last, size))
