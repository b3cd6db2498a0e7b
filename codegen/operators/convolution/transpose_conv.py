"""TRANSPOSE_CONV: out[y, x, o] = clamp(requantise(bias[o] + sum of taps (in[tap] - zero_in) * weights[o, tap, i]))."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from driftc.codegen.operators.base import Box, Stored, Tiling, cut
from driftc.codegen.operators.convolution.weighted import Int64, Weighted
from driftc.codegen.tensor import Array, Shape

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

SAME, VALID = 0, 1  # paddings in the schema


@dataclass(frozen=True, eq=False, kw_only=True)
class TransposeConv(Weighted):
    """Convolution transposed, NHWC; weights [out, kernel rows, kernel pixels, in].

    Tap (ky, kx) takes input (row, pixel) to output (row * stride - top + ky, pixel * stride - left + kx), where that
    lies inside `size`. `top` and `left` are what a convolution of that stride over the output would be padded by.
    """

    codes = ("TRANSPOSE_CONV",)
    template = "transpose_conv"
    tiling = Tiling.ROWS | Tiling.CHANNELS
    arithmetic = (
        "int32 sum; multiplier float64(scale_in) * float64(scale_w[o]) / float64(scale_out) as Q0.31 and shift; "
        "double rounding; zero point; clamp to the fused activation's int8 range. Taps "
        "outside the input contribute nothing."
    )

    stride: tuple[int, int]
    size: tuple[int, int]  # rows and pixels of the output
    padding: tuple[int, int]  # top, left; of a part perhaps negative
    scheme: int = SAME

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        x, weights, bias, y = node.input(2), node.input(1), node.optional(3), node.output()
        node.constant(1)
        node.require(
            len(weights.shape) == 4 and weights.size > 0,
            f"weights '{weights.label}' must have 4 axes, not shape {list(weights.shape)}",
        )
        node.require(
            len(x.shape) == 4 and x.shape[0] == 1, f"needs an input of shape [1, H, W, C], not {list(x.shape)}"
        )
        node.require(
            weights.shape[3] == x.shape[3], f"has weights for {weights.shape[3]} input channels, not {x.shape[3]}"
        )
        node.require(len(y.shape) == 4, f"gives shape {list(y.shape)}, which is not [1, H, W, C]")
        wanted = node.inputs[0]
        if wanted is not None and wanted.data is not None:  # TFLite Micro goes by the output's shape alone
            shape = list(node.integers(0))
            node.require(shape == list(y.shape), f"is asked for shape {shape}, but the file says {list(y.shape)}")
        options = node.options("TransposeConvOptions")
        stride, scheme = node.positive(options, "StrideH", "StrideW"), int(options.Padding())
        node.require(scheme in (SAME, VALID), f"padding scheme {scheme} is unknown")
        size = (y.shape[1], y.shape[2])
        kernel = weights.shape[1:3]
        return cls(
            **node.common(x),
            weights=weights,
            bias=bias,
            activation=node.activation(options),
            stride=stride,
            size=size,
            padding=cls.padded(size, (kernel[0], kernel[1]), stride, scheme),
            scheme=scheme,
        )

    @staticmethod
    def padded(size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], scheme: int) -> tuple[int, int]:
        """Top and left padding: TFLite `ComputePaddingHeightWidth` of a convolution over the output."""

        def before(size: int, kernel: int, step: int) -> int:
            count = -(-size // step) if scheme == SAME else (size + step - kernel) // step
            return max((count - 1) * step + kernel - size, 0) // 2

        return before(size[0], kernel[0], stride[0]), before(size[1], kernel[1], stride[1])

    def stored(self) -> Stored:
        fields = {
            "Padding": self.scheme,
            "StrideH": self.stride[0],
            "StrideW": self.stride[1],
            "FusedActivationFunction": self.activation.value,
        }
        shape, bias = np.array(self.outputs[0].shape, np.int32), self.operands[2:]
        return Stored((shape, self.weights, *self.inputs, *bias), "TransposeConvOptions", fields, version=4)

    @property
    def kernel(self) -> tuple[int, int]:
        return self.weights.shape[1], self.weights.shape[2]

    @property
    def macs(self) -> int:
        return self.inputs[0].size * self.weights.size // self.weights.shape[3]

    def infer(self) -> tuple[Shape, ...]:
        return ((1, *self.size, self.channels),)

    def summary(self) -> str:
        step = "" if self.stride == (1, 1) else f", stride {self.stride[0]}x{self.stride[1]}"
        return f"{self.kernel[0]}x{self.kernel[1]} transposed convolution{step}"

    # --- what the C is made from ---

    @property
    def phases(self) -> tuple[int, int]:
        """Output rows, and pixels, differ in which taps meet them: by the first of these, or that there is none."""
        rows, pixels = (min(step, size + (step > size)) for step, size in zip(self.stride, self.kernel, strict=True))
        return rows, pixels

    @property
    def taps(self) -> int:
        """The most that meet one output pixel."""
        return ceil(self.kernel[0] / self.stride[0]) * ceil(self.kernel[1] / self.stride[1])

    @property
    def phased_bias(self) -> Int64:
        """The bias with the input's zero point folded in, for each phase: [rows, pixels, output channels]."""
        found = np.zeros((*self.phases, self.channels), np.int64)
        for row in range(self.phases[0]):
            for pixel in range(self.phases[1]):
                taps = self._data[:, row :: self.stride[0], pixel :: self.stride[1]]
                found[row, pixel] = self.raw_bias - self.inputs[0].zero_point * taps.sum(axis=(1, 2, 3))
        return found

    # --- semantics ---

    def accumulate(self, x: Array) -> Int64:
        sums = self._scattered(np.asarray(x, np.float64) - self.inputs[0].zero_point, self._data.astype(np.float64))
        return np.asarray(sums, np.int64) + self.raw_bias  # exact: sums stay below 2^53

    def float_sums(self, x: Array) -> Array:
        assert self.weights.data is not None
        return self._scattered(x, self.weights.data)

    def _scattered(self, x: Array, weights: Array) -> Array:
        """Each input pixel times each tap, added up where it falls: [n, rows, pixels, output channels]."""
        count, height, width, _ = x.shape
        (top, left), (down, right) = self.padding, self.stride
        margin = max(-top, 0), max(-left, 0)
        rows = max((height - 1) * down + self.kernel[0], self.size[0] + top) + margin[0]
        pixels = max((width - 1) * right + self.kernel[1], self.size[1] + left) + margin[1]
        canvas = np.zeros((count, rows, pixels, self.channels), x.dtype)
        for ky in range(self.kernel[0]):
            for kx in range(self.kernel[1]):
                y0, x0 = margin[0] + ky, margin[1] + kx
                into = canvas[:, y0 : y0 + (height - 1) * down + 1 : down, x0 : x0 + (width - 1) * right + 1 : right]
                into += x @ weights[:, ky, kx].T
        y0, x0 = top + margin[0], left + margin[1]
        return canvas[:, y0 : y0 + self.size[0], x0 : x0 + self.size[1]]

    # --- in parts ---

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        height, _, depth = self.inputs[0].hwc
        first = -((self.kernel[0] - 1 - self.padding[0] - box.row0) // self.stride[0])
        last = (box.row1 - 1 + self.padding[0]) // self.stride[0] + 1
        row0 = min(max(first, 0), height)
        return (Box(row0, max(row0, min(last, height)), 0, depth),)

    def part(self, box: Box, reduce: range | None = None) -> Self:
        if reduce is not None:
            raise ValueError(f"{self.name}: {self.kind} is not summed in parts")
        (need,) = self.needs(box)
        channels = slice(box.channel0, box.channel1)
        assert self.weights.data is not None
        changes: dict[str, Any] = self.slice_channels(self.weights.data[channels], channels, keep_bias=True)
        return replace(
            self,
            inputs=(cut(self.inputs[0], need),),
            outputs=(cut(self.outputs[0], box),),
            size=(box.row1 - box.row0, self.size[1]),
            padding=(self.padding[0] + box.row0 - need.row0 * self.stride[0], self.padding[1]),
            **changes,
        )
