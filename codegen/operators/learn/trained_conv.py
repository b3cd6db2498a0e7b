"""TRAINED_CONV: a convolution whose weights and bias lie in RAM, so that they can be learnt."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import INT32_MAX, Int64, Multiplier
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.learn.base import Learning
from driftc.codegen.operators.learn.trained_dense import LARGEST_BIAS
from driftc.codegen.tensor import Array, Shape, Tensor

Convolution = Conv2D | DepthwiseConv2D


def filters_of(layer: Convolution) -> Array:
    """Its weights, one filter after the other: [out, kernel rows, kernel pixels, channels that each one reads]."""
    assert layer.weights.data is not None
    data = layer.weights.data
    return np.ascontiguousarray(data.transpose(3, 1, 2, 0)) if isinstance(layer, DepthwiseConv2D) else data


def taps_of(layer: Convolution, x: Array, filters: Shape) -> Int64:
    """What each filter reads, without the zero point: int64 [groups, pixels, kernel rows * pixels * channels]."""
    zero = layer.inputs[0].zero_point
    windows = layer.windows(np.asarray(x, np.int64).reshape(layer.inputs[0].shape), zero) - zero
    height, width, channels, *kernel = windows.shape
    split = windows.reshape(height * width, channels // filters[3], filters[3], *kernel)
    return np.asarray(split.transpose(1, 0, 3, 4, 2).reshape(split.shape[1], height * width, -1), np.int64)


def by_group(layer: Convolution, values: Int64, filters: Shape) -> Int64:
    """Values of each output channel [..., out] as [groups, ..., out / groups]."""
    groups = layer.inputs[0].shape[3] // filters[3]
    return np.stack(np.split(values, groups, axis=-1))


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedConv(Learning):
    """Inputs: x int8 [1, H, W, C]; weights int8 [O, rows, pixels, C / groups], within +-127; bias int32 [O], within
    +-2^26. Output: int8 [1, H', W', O].

    What the layer that it takes the place of gives for the same weights; a depthwise one has a group a channel.
    """

    codes = ("TRAINED_CONV",)
    template = "trained_conv"
    arithmetic = (
        "As CONV_2D: int32 sum over the window of (x - zero) * weight, padding contributes zero; bias; Q0.31 "
        "multiplier and shift of each channel, double rounding, zero point, clamp."
    )

    layer: Convolution  # that it takes the place of

    @property
    def filters(self) -> Shape:
        return self.inputs[1].shape

    @property
    def groups(self) -> int:
        return self.inputs[0].shape[3] // self.filters[3]

    @property
    def multiplier(self) -> Multiplier:
        return self.layer.multiplier

    @property
    def bounds(self) -> tuple[int, int]:
        return self.layer.range

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return (*self.inputs[:2], *self.outputs)

    @property
    def macs(self) -> int:
        return self.outputs[0].size * prod(self.filters[1:])

    def infer(self) -> tuple[Shape, ...]:
        return self.layer.infer()

    def check(self) -> None:
        super().check()
        largest = 127 * (128 + abs(self.inputs[0].zero_point)) * prod(self.filters[1:]) + LARGEST_BIAS
        if largest > INT32_MAX:
            self.refuse(f"sums of {prod(self.filters[1:])} products can overflow int32")

    @cached_property
    def alike(self) -> tuple[int | None, int | None]:
        """Multiplier and right shift, where all channels have the same one."""
        value, shift = self.multiplier.value, -self.multiplier.shift
        return (None if np.ptp(value) else int(value[0]), None if np.ptp(shift) else int(shift[0]))

    def summary(self) -> str:
        rows, pixels = self.filters[1:3]
        return f"{rows}x{pixels} convolution, learnt on the device"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        x, weights, bias = inputs
        taps = taps_of(self.layer, x, self.filters).astype(np.float64)  # exact: sums stay below 2^53
        rows = by_group(self.layer, weights.reshape(len(weights), -1).T.astype(np.int64), self.filters)
        sums: NDArray[np.int64] = np.concatenate(list(taps @ rows.astype(np.float64)), axis=1).astype(np.int64)
        scaled = self.multiplier.apply(sums + bias.astype(np.int64)) + self.outputs[0].zero_point
        return (np.clip(scaled, *self.bounds).astype(np.int8).reshape(self.outputs[0].shape),)
