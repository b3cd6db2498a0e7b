"""FULLY_CONNECTED: out[r, o] = clamp(requantise(bias[o] + sum_i (in[r, i] - zero_in) * weights[o, i]))."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import INT32_MAX, exact_pair, scale_exactly
from driftc.codegen.operators.base import Box, Stored, Tiling, batched
from driftc.codegen.operators.convolution.weighted import Bools, Weighted
from driftc.codegen.tensor import Array, Shape

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class FullyConnected(Weighted):
    """Dense layer over rows of `weights.shape[1]` inputs; weights [out, in]."""

    codes = ("FULLY_CONNECTED",)
    template = "fully_connected"
    tiling = Tiling.CHANNELS | Tiling.REDUCE
    arithmetic = (
        "int32 sum; multiplier float64(scale_in) * float64(scale_w) / float64(scale_out) as Q0.31 and shift; "
        "double rounding; zero point; clamp to the fused activation's int8 range."
    )
    departures = (
        "LiteRT rounds the float64 product sum * multiplier once, halves away from zero. Where that can leave int32 "
        "its cast is undefined: such a layer is not compared with LiteRT, and refused with --match litert."
    )

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

    def stored(self) -> Stored:
        fields = {"FusedActivationFunction": self.activation.value, "KeepNumDims": self.keep_dims}
        quantization = self.weights.quantization
        version = 12 if quantization is not None and quantization.scale.size > 1 else 4
        return Stored(self.operands, "FullyConnectedOptions", fields, version)

    @property
    def litert_undefined(self) -> str:
        if self.largest_sum * float(self.real_multiplier.max()) < INT32_MAX - 256:
            return ""
        return "its sums times its scales can leave int32, where LiteRT's cast to an integer is undefined"

    def scaled(self, sums: NDArray[np.int64]) -> NDArray[np.int64]:
        return scale_exactly(sums, self.real_multiplier) if self.litert else super().scaled(sums)

    def scale_constants(self) -> dict[str, Array]:
        if not self.litert:
            return super().scale_constants()
        pairs = [exact_pair(float(real)) for real in self.real_multiplier]
        return {
            "multiplier": np.array([pair[0] for pair in pairs], np.int64),
            "shift": np.array([pair[1] for pair in pairs], np.int8),
        }

    @property
    def scaler(self) -> str:
        return "driftc_to_int8_exact" if self.litert else super().scaler

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

    def float_sums(self, x: Array) -> Array:
        assert self.weights.data is not None
        return batched(
            x.reshape(-1, self.weights.shape[1]) @ self.weights.data.T, self.outputs[0], self.outputs[0].shape
        )

    @property
    def whole_pixels(self) -> bool:
        """Each row of its inputs is a number of whole pixels, so that channels stay apart."""
        channels = self.inputs[0].hwc[2]
        return channels > 0 and self.weights.shape[1] % channels == 0

    @property
    def channel_taps(self) -> NDArray[np.int64] | None:
        """None where a row does not hold whole pixels of the input: channels are mixed then."""
        if not self.whole_pixels:
            return None
        return self._data.reshape(self.channels, -1, self.inputs[0].hwc[2])

    def cut_weights(self, there: Bools, made: Bools) -> Array:
        assert self.weights.data is not None
        pixels = self.weights.shape[1] // len(there)
        return np.ascontiguousarray(self.weights.data[made][:, np.tile(there, pixels)])

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        rows, _, channels = self.inputs[0].hwc
        inner = reduce or range(channels)
        return (Box(0, rows, inner.start, inner.stop),)

    def part(self, box: Box, reduce: range | None = None) -> Self:
        height = self.outputs[0].hwc[0]
        if reduce is None and box == Box(0, height, 0, self.channels):
            return self
        rows, width, length = self.inputs[0].hwc
        if rows * width != 1 or height != 1:
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
