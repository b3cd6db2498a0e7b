"""CONV_GRADIENT: errors at the output of a convolution that learns, taken back to its input."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.operators.learn.base import Learning, WithExponent, rounded
from driftc.codegen.operators.learn.cross_entropy import ONE
from driftc.codegen.operators.learn.masks import Live, counted
from driftc.codegen.operators.learn.trained_conv import Convolution
from driftc.codegen.tensor import Array, Shape, Tensor

MOST = (1 << 31 - 14 - 7) - 1  # products of an error and a weight: of so many the sum is an int32


@dataclass(frozen=True, eq=False, kw_only=True)
class ConvGradient(Learning):
    """Inputs: errors int16, [1, O] where every pixel has the same, or one each; weights int8 [O, rows, pixels, D];
    masks of the output, by `live`. Output: int32 [1, H, W, C].
    """

    codes = ("CONV_GRADIENT",)
    template = "conv_gradient"
    header = "driftc_learn.h"
    arithmetic = (
        "e = error * scale / 2^15 of each channel, rounded, halves upwards, 0 where a mask says that the value was "
        "clamped. Of each value of the input the exact int32 sum of e * weight over all that it was a factor of; up to "
        f"{MOST} products within 2^21."
    )

    layer: Convolution
    live: Live  # of each mask
    scale: NDArray[np.int32] = field(repr=False)  # [O], Q.15: each channel's multiplier, by the largest

    @property
    def filters(self) -> Shape:
        return self.inputs[1].shape

    @property
    def groups(self) -> int:
        return self.outputs[0].shape[3] // self.filters[3]

    @property
    def pixels(self) -> tuple[int, int]:
        """Rows and pixels of the layer's output."""
        return self.layer.output_size()

    @property
    def alike(self) -> bool:
        """Every pixel has the same error."""
        return self.inputs[0].size == self.filters[0]

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return self.inputs[1:]

    @property
    def macs(self) -> int:
        return prod(self.pixels) * self.inputs[1].size

    def check(self) -> None:
        super().check()
        if prod(self.filters[:3]) // self.groups > MOST:
            self.refuse(f"sums of {prod(self.filters[:3]) // self.groups} products can overflow int32; {MOST} cannot")

    def infer(self) -> tuple[Shape, ...]:
        return (self.layer.inputs[0].shape,)

    def summary(self) -> str:
        return "errors taken back through a convolution"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        errors, weights, *masks = inputs
        height, width = self.pixels
        shape = (height * width, self.filters[0])
        e = np.broadcast_to(
            rounded(errors.astype(np.int64).reshape(-1, shape[1]) * self.scale, ONE.bit_length() - 1), shape
        )
        e = counted(e, self.live, masks)
        _, rows, pixels, channels = self.outputs[0].shape
        top, bottom, left, right = self.layer.padding
        padded = np.zeros((rows + top + bottom, pixels + left + right, channels), np.int64)
        depth, share = self.filters[3], self.filters[0] // self.groups
        for ky in range(self.filters[1]):
            for kx in range(self.filters[2]):
                y, x = ky * self.layer.dilation[0], kx * self.layer.dilation[1]
                sy, sx = self.layer.stride
                into = padded[y : y + (height - 1) * sy + 1 : sy, x : x + (width - 1) * sx + 1 : sx]
                for group in range(self.groups):
                    some = slice(group * share, (group + 1) * share)
                    found = e[:, some] @ weights[some, ky, kx].astype(np.int64)
                    into[..., group * depth : (group + 1) * depth] += found.reshape(height, width, depth)
        return (padded[top : top + rows, left : left + pixels].astype(np.int32)[np.newaxis],)


@dataclass(frozen=True, eq=False, kw_only=True)
class NormalizedErrors(WithExponent):
    """Inputs: sums int32; an exponent int32 [1]. Outputs: errors int16 within +-2^14, their exponent int32 [1]."""

    codes = ("NORMALIZED_ERRORS",)
    template = "normalized_errors"
    header = "driftc_learn.h"
    arithmetic = (
        "The least shift by which the largest sum is below 2^14; each is shifted by it and rounded, halves upwards; "
        "the exponent grows by it."
    )

    def summary(self) -> str:
        return "errors as int16 with one exponent"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        sums, exponent = (np.asarray(array, np.int64) for array in inputs)
        return self.normalized(sums, int(exponent.reshape(-1)[0]))
