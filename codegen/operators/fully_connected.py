"""FULLY_CONNECTED: out[r, o] = clamp(requantise(bias[o] + sum_i (in[r, i] - zero_in) * weights[o, i]))."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import Multiplier
from driftc.codegen.graph import Shape
from driftc.codegen.operators.base import Array, Box, Tiling
from driftc.codegen.operators.weighted import Weighted

if TYPE_CHECKING:
    from driftc.codegen.frontends.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class FullyConnected(Weighted):
    """Dense layer over rows of `weights.shape[1]` inputs; weights [out, in]."""

    codes = ("FULLY_CONNECTED",)
    template = "fully_connected"
    tiling = Tiling.CHANNELS | Tiling.REDUCE
    arithmetic = (
        "int32 sum; multiplier float64(float32(scale_in * scale_w)) / float64(scale_out) as Q0.31 and shift (per channel: "
        "all in float64); double rounding; zero point; clamp to the fused activation's int8 range."
    )
    departures = "LiteRT rounds once: (sum * multiplier + 2^(30 - shift)) >> (31 - shift) in 64 bits."

    keep_dims: bool = False

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        x, weights, bias = node.weighted(rank=2)
        options = node.options("FullyConnectedOptions")
        node.require(int(options.WeightsFormat()) == 0, "shuffled weights are not supported")
        return cls(
            **node.common(x),
            weights=weights,
            bias=bias,
            activation=node.activation(options),
            keep_dims=bool(options.KeepNumDims()),
        )

    @cached_property
    def multiplier(self) -> Multiplier:
        """As TFLite computes it: with one weight scale the product of the scales is rounded to float32 first."""
        if self.quantization.scale.size > 1:
            return super().multiplier
        product = np.float32(self.inputs[0].scale) * self.quantization.scale
        return Multiplier.of(product.astype(np.float64) / np.float64(self.outputs[0].scale))

    @property
    def rows(self) -> int:
        return self.inputs[0].size // self.weights.shape[1]

    @property
    def macs(self) -> int:
        return self.rows * self.weights.size

    def infer(self) -> tuple[Shape, ...]:
        length = self.weights.shape[1]
        if length == 0 or self.inputs[0].size % length:
            self.refuse(f"{self.inputs[0].size} inputs do not fill rows of {length} weights")
        if self.keep_dims:
            if self.inputs[0].shape[-1] != length:
                self.refuse(f"keeps the axes of {list(self.inputs[0].shape)}, but its weights have {length} inputs")
            return ((*self.inputs[0].shape[:-1], self.channels),)
        return ((self.rows, self.channels),)

    def summary(self) -> str:
        return "fully connected"

    def accumulate(self, x: Array) -> NDArray[np.int64]:
        rows = np.asarray(x, np.float64).reshape(-1, self.weights.shape[1]) - self.inputs[0].zero_point
        return np.asarray(rows @ self._data.T.astype(np.float64), np.int64) + self.raw_bias

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        rows, _, channels = self.inputs[0].hwc
        inner = reduce or range(channels)
        return (Box(0, rows, inner.start, inner.stop),)

    def part(self, box: Box, reduce: range | None = None) -> Self:
        rows, width, length = self.inputs[0].hwc
        if rows * width != 1 and (reduce is not None or (box.channel0, box.channel1) != (0, self.channels)):
            raise ValueError(f"{self.name}: only a dense layer over one row is computed in parts")
        channels = slice(box.channel0, box.channel1)
        inner = reduce or range(length)
        assert self.weights.data is not None
        data = self.weights.data[channels, inner.start : inner.stop]
        return replace(
            self,
            inputs=(replace(self.inputs[0], shape=(1, len(inner))),),
            outputs=(replace(self.outputs[0], shape=(1, box.channel1 - box.channel0)),),
            **self.slice_channels(data, channels, keep_bias=inner.start == 0),
        )
