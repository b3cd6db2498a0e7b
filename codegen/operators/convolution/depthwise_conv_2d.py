"""DEPTHWISE_CONV_2D: out[y, x, i * m + j] = clamp(requantise(bias + sum (in[window, i] - zero_in) * weights))."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.operators.base import Box, Stored, Tiling, cut
from driftc.codegen.operators.convolution.weighted import Bools, Weighted
from driftc.codegen.operators.windowed import Windowed
from driftc.codegen.tensor import Array, Shape

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class DepthwiseConv2D(Windowed, Weighted):
    """One filter a channel (or `multiplicity` of them); weights [1, kernel rows, kernel pixels, out]."""

    codes = ("DEPTHWISE_CONV_2D",)
    template = "depthwise_conv_2d"
    tiling = Tiling.ROWS | Tiling.CHANNELS
    channel_axis = 3
    arithmetic = (
        "int32 sum; multiplier float64(scale_in) * float64(scale_w[o]) / float64(scale_out) as Q0.31 and shift; "
        "double rounding; zero point; clamp to the fused activation's int8 range. Padding contributes zero."
    )

    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, bottom, left, right

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        x, weights, bias = node.weighted(rank=4)
        options = node.options("DepthwiseConv2DOptions")
        stride = node.positive(options, "StrideH", "StrideW")
        dilation = node.positive(options, "DilationHFactor", "DilationWFactor")
        node.require(
            len(x.shape) == 4 and x.shape[0] == 1, f"needs an input of shape [1, H, W, C], not {list(x.shape)}"
        )
        node.require(weights.shape[0] == 1, f"weights '{weights.label}' must have shape [1, kh, kw, out]")
        node.require(
            weights.shape[3] % x.shape[3] == 0,
            f"{weights.shape[3]} output channels are no multiple of {x.shape[3]} input channels",
        )
        multiplier = int(options.DepthMultiplier())  # what TFLite Micro reads, whatever the shapes say
        node.require(
            multiplier * x.shape[3] == weights.shape[3],
            f"depth multiplier {multiplier} does not make {weights.shape[3]} output channels of {x.shape[3]} input "
            "channels; the file is damaged",
        )
        return cls(
            **node.common(x),
            weights=weights,
            bias=bias,
            activation=node.activation(options),
            stride=stride,
            dilation=dilation,
            padding=node.padding(options, x, weights.shape[1:3], stride, dilation),
        )

    def stored(self) -> Stored:
        fields = {
            "Padding": self.scheme(),
            "StrideH": self.stride[0],
            "StrideW": self.stride[1],
            "DepthMultiplier": self.multiplicity,
            "DilationHFactor": self.dilation[0],
            "DilationWFactor": self.dilation[1],
            "FusedActivationFunction": self.activation.value,
        }
        return Stored(self.operands, "DepthwiseConv2DOptions", fields, version=3)

    @property
    def kernel(self) -> tuple[int, int]:  # type: ignore[override]
        return self.weights.shape[1], self.weights.shape[2]

    @property
    def multiplicity(self) -> int:
        """Output channels for each input channel."""
        return self.channels // self.inputs[0].shape[3]

    @property
    def macs(self) -> int:
        return self.outputs[0].size * self.kernel[0] * self.kernel[1]

    def infer(self) -> tuple[Shape, ...]:
        return ((1, *self.output_size(), self.channels),)

    def summary(self) -> str:
        multiple = f", {self.multiplicity} filters a channel" if self.multiplicity > 1 else ""
        return f"{self.kernel[0]}x{self.kernel[1]} depthwise convolution{multiple}"

    def accumulate(self, x: Array) -> NDArray[np.int64]:
        zero = self.inputs[0].zero_point
        windows = self.windows(np.asarray(x, np.int64), zero) - zero
        sums = np.zeros((*windows.shape[:2], self.channels), np.int64)
        for ky in range(self.kernel[0]):
            for kx in range(self.kernel[1]):
                sums += np.repeat(windows[..., ky, kx], self.multiplicity, axis=2) * self._data[0, ky, kx]
        return sums[np.newaxis] + self.raw_bias

    def float_sums(self, x: Array) -> Array:
        assert self.weights.data is not None
        windows = self.float_windows(x)
        sums = np.zeros((*windows.shape[:3], self.channels), x.dtype)
        for ky in range(self.kernel[0]):
            for kx in range(self.kernel[1]):
                tap = windows[:, :, :, ky, kx]
                sums += (np.repeat(tap, self.multiplicity, axis=3) if self.multiplicity > 1 else tap) * (
                    self.weights.data[0, ky, kx]
                )
        return sums

    @property
    def reads_padding(self) -> bool:
        return any(self.padding)

    @property
    def channel_taps(self) -> NDArray[np.int64]:
        return self._data.reshape(-1, self.channels).T[:, :, np.newaxis]

    def cut_weights(self, there: Bools, made: Bools) -> Array:
        assert self.weights.data is not None
        return np.ascontiguousarray(self.weights.data[..., made])

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        first, last, _, _ = self.input_rows(box.row0, box.row1)
        return (Box(first, last, box.channel0 // self.multiplicity, -(-box.channel1 // self.multiplicity)),)

    def part(self, box: Box, reduce: range | None = None) -> Self:
        if reduce is not None or box.channel0 % self.multiplicity or box.channel1 % self.multiplicity:
            raise ValueError(f"{self.name}: a depthwise convolution is split only between input channels")
        _, _, above, below = self.input_rows(box.row0, box.row1)
        channels = slice(box.channel0, box.channel1)
        assert self.weights.data is not None
        data = self.weights.data[..., channels]
        return replace(
            self,
            inputs=(cut(self.inputs[0], self.needs(box)[0]),),
            outputs=(cut(self.outputs[0], box),),
            **self.slice_channels(data, channels, keep_bias=True),
            padding=(above, below, *self.padding[2:]),
        )
