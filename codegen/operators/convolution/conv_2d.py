"""CONV_2D: out[y, x, o] = clamp(requantise(bias[o] + sum (in[window] - zero_in) * weights[o, ky, kx, i]))."""

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
class Conv2D(Windowed, Weighted):
    """Convolution, NHWC; weights [out, kernel rows, kernel pixels, in / groups]."""

    codes = ("CONV_2D",)
    template = "conv_2d"
    tiling = Tiling.ROWS | Tiling.CHANNELS | Tiling.REDUCE
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
        options = node.options("Conv2DOptions")
        stride = node.positive(options, "StrideH", "StrideW")
        dilation = node.positive(options, "DilationHFactor", "DilationWFactor")
        node.require(
            len(x.shape) == 4 and x.shape[0] == 1, f"needs an input of shape [1, H, W, C], not {list(x.shape)}"
        )
        node.require(
            weights.shape[3] > 0 and x.shape[3] % weights.shape[3] == 0,
            f"{x.shape[3]} input channels do not divide into groups of {weights.shape[3]}",
        )
        groups = x.shape[3] // weights.shape[3]
        node.require(
            groups > 0 and weights.shape[0] % groups == 0,
            f"{weights.shape[0]} output channels do not divide into {groups} groups",
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
            "DilationHFactor": self.dilation[0],
            "DilationWFactor": self.dilation[1],
            "FusedActivationFunction": self.activation.value,
        }
        return Stored(self.operands, "Conv2DOptions", fields, version=3)

    @property
    def kernel(self) -> tuple[int, int]:  # type: ignore[override]
        return self.weights.shape[1], self.weights.shape[2]

    @property
    def groups(self) -> int:
        return self.inputs[0].shape[3] // self.weights.shape[3]

    @property
    def macs(self) -> int:
        _, height, width, channels = self.outputs[0].shape
        return height * width * channels * int(np.prod(self.weights.shape[1:]))

    def infer(self) -> tuple[Shape, ...]:
        return ((1, *self.output_size(), self.channels),)

    def summary(self) -> str:
        rows, pixels = self.kernel
        groups = f" in {self.groups} groups" if self.groups > 1 else ""
        return f"{rows}x{pixels} convolution{groups}"

    def accumulate(self, x: Array) -> NDArray[np.int64]:
        zero = self.inputs[0].zero_point
        windows = self.windows(np.asarray(x, np.int64), zero) - zero
        height, width = windows.shape[:2]
        grouped = windows.reshape(height * width, self.groups, -1).astype(np.float64)  # exact: sums stay below 2^53
        filters = self._data.transpose(0, 3, 1, 2).reshape(self.groups, self.channels // self.groups, -1)
        sums = [grouped[:, g] @ filters[g].T.astype(np.float64) for g in range(self.groups)]
        return np.concatenate(sums, axis=1).astype(np.int64).reshape(1, height, width, -1) + self.raw_bias

    def float_sums(self, x: Array) -> Array:
        assert self.weights.data is not None
        windows = self.float_windows(x)
        filters = self.weights.data.reshape(self.groups, self.channels // self.groups, -1)
        width = windows.shape[-1] // self.groups
        pieces = [windows[..., g * width : (g + 1) * width] for g in range(self.groups)]
        rows = [piece.reshape(-1, filters.shape[2]) for piece in pieces]
        sums = [piece @ filters[g].T for g, piece in enumerate(rows)]
        return np.concatenate(sums, axis=1).reshape(*windows.shape[:3], self.channels)

    @property
    def reads_padding(self) -> bool:
        return any(self.padding)

    @property
    def channel_taps(self) -> NDArray[np.int64]:
        """Zero where a group of channels does not read the others."""
        data = self._data.reshape(self.channels, -1, self.weights.shape[3])
        if self.groups == 1:
            return data
        found = np.zeros((*data.shape[:2], self.groups, data.shape[2]), np.int64)
        share = self.channels // self.groups
        for group in range(self.groups):
            found[group * share : (group + 1) * share, :, group] = data[group * share : (group + 1) * share]
        return found.reshape(*data.shape[:2], -1)

    def cut_weights(self, there: Bools, made: Bools) -> Array:
        if self.groups > 1:
            raise ValueError(f"{self.name}: channels of a grouped convolution are not cut")
        assert self.weights.data is not None
        return np.ascontiguousarray(self.weights.data[made][..., there])

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        first, last, _, _ = self.input_rows(box.row0, box.row1)
        channels = reduce or range(self.inputs[0].shape[3])
        return (Box(first, last, channels.start, channels.stop),)

    def part(self, box: Box, reduce: range | None = None) -> Self:
        if self.groups > 1 and (reduce is not None or (box.channel0, box.channel1) != (0, self.channels)):
            raise ValueError(f"{self.name}: a grouped convolution is not split along channels")
        _, _, above, below = self.input_rows(box.row0, box.row1)
        channels = slice(box.channel0, box.channel1)
        inner = slice(reduce.start, reduce.stop) if reduce else slice(None)
        assert self.weights.data is not None
        data = self.weights.data[channels, :, :, inner]
        return replace(
            self,
            inputs=(cut(self.inputs[0], self.needs(box, reduce)[0]),),
            outputs=(cut(self.outputs[0], box),),
            **self.slice_channels(data, channels, keep_bias=reduce is None or reduce.start == 0),
            padding=(above, below, *self.padding[2:]),
        )
