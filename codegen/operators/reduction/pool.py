"""Shared by AVERAGE_POOL_2D and MAX_POOL_2D: a window over the points that lie inside the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.attributes import float_activation
from driftc.codegen.operators.base import Box, Stored, Tiling, cut
from driftc.codegen.operators.channelwise import at_corners
from driftc.codegen.operators.quantised import Clamped
from driftc.codegen.operators.ranges import Ranges
from driftc.codegen.operators.windowed import Windowed
from driftc.codegen.tensor import Array, Shape

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class Pool(Windowed, Clamped):
    """NHWC; the output keeps the input's scale and zero point."""

    keeps_scale = True
    tiling = Tiling.ROWS | Tiling.CHANNELS
    word: ClassVar[str]  # for the summary

    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, bottom, left, right; never counted

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        x, options = node.input(0), node.options("Pool2DOptions")
        kernel = node.positive(options, "FilterHeight", "FilterWidth")
        stride = node.positive(options, "StrideH", "StrideW")
        whole = len(x.shape) == 4 and x.shape[0] == 1
        node.require(whole, f"needs an input of shape [1, H, W, C], not {list(x.shape)}")
        return cls(
            **node.common(x),
            activation=node.activation(options),
            kernel=kernel,
            stride=stride,
            padding=node.padding(options, x, kernel, stride),
        )

    def stored(self) -> Stored:
        fields = {
            "Padding": self.scheme(),
            "StrideH": self.stride[0],
            "StrideW": self.stride[1],
            "FilterHeight": self.kernel[0],
            "FilterWidth": self.kernel[1],
            "FusedActivationFunction": self.activation.value,
        }
        return Stored(self.inputs, "Pool2DOptions", fields)

    def infer(self) -> tuple[Shape, ...]:
        return ((1, *self.output_size(), self.inputs[0].shape[3]),)

    def check(self) -> None:
        super().check()
        x, y = self.inputs[0], self.outputs[0]
        if abs(x.scale - y.scale) > 1e-6 or x.zero_point != y.zero_point:
            self.refuse(
                f"scale {x.scale:g} and zero point {x.zero_point} must stay as they are, not become {y.scale:g} and "
                f"{y.zero_point}; TFLite Micro does not requantise here"
            )

    def summary(self) -> str:
        step = "" if self.stride == (1, 1) else f", stride {self.stride[0]}x{self.stride[1]}"
        return f"{self.kernel[0]}x{self.kernel[1]} {self.word} pooling{step}"

    def spans(self, axis: int) -> list[slice]:
        """For each output row (axis 0) or pixel (axis 1): the input rows or pixels of its window that exist."""
        size, before = self.inputs[0].shape[1 + axis], self.padding[2 * axis]
        starts = [i * self.stride[axis] - before for i in range(self.output_size()[axis])]
        return [slice(max(start, 0), min(start + self.kernel[axis], size)) for start in starts]

    def over_windows(self, x: Array, reduce: np.ufunc) -> Array:
        """`reduce` over each window of [H, W, ...], rows first: memory stays near the size of the input."""
        rows = np.stack([reduce.reduce(x[span], axis=0) for span in self.spans(0)])
        return np.stack([reduce.reduce(rows[:, span], axis=1) for span in self.spans(1)], axis=1)

    def counts(self) -> Int64:
        """How many points each window has: [out_h, out_w]."""
        rows, pixels = ([span.stop - span.start for span in self.spans(axis)] for axis in (0, 1))
        return np.multiply.outer(np.array(rows, np.int64), np.array(pixels, np.int64))

    def pooled(self, x: Int64) -> Int64:
        """[H, W, C] to the output's rows, pixels and channels, before the clamp."""
        raise NotImplementedError

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        pooled = self.pooled(np.asarray(inputs[0], np.int64)[0])
        return (np.clip(pooled, *self.range).astype(np.int8)[np.newaxis],)

    def float_pooled(self, x: Array) -> Array:
        """`pooled` on real values: [H, W, n, C]."""
        raise NotImplementedError

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        pooled = self.float_pooled(np.moveaxis(inputs[0], 0, 2))
        return (float_activation(self.activation, np.ascontiguousarray(np.moveaxis(pooled, 2, 0))),)

    def channel_ranges(self, inputs: Sequence[Ranges]) -> Ranges | None:
        return at_corners(self, inputs)

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        first, last, _, _ = self.input_rows(box.row0, box.row1)
        return (Box(first, last, box.channel0, box.channel1),)

    def part(self, box: Box, reduce: range | None = None) -> Self:
        if reduce is not None:
            raise ValueError(f"{self.name}: {self.kind} sums no channels")
        _, _, above, below = self.input_rows(box.row0, box.row1)
        return replace(
            self,
            inputs=(cut(self.inputs[0], self.needs(box)[0]),),
            outputs=(cut(self.outputs[0], box),),
            padding=(above, below, *self.padding[2:]),
        )
