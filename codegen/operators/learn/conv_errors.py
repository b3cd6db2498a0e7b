"""CONV_ERRORS: errors through a frozen convolution, by its int8 weights: what a transposed convolution gives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from driftc.codegen.arithmetic import INT32_MAX, Int64
from driftc.codegen.operators.learn.base import MANTISSA, WithExponent
from driftc.codegen.operators.learn.trained_conv import Convolution, filters_of
from driftc.codegen.tensor import Array, Shape


@dataclass(frozen=True, eq=False, kw_only=True)
class ConvErrors(WithExponent):
    """Inputs: errors int16 [1, H', W', O], within +-2^14; their exponent int32 [1].

    Outputs: errors int16 [1, H, W, C] at the input of `layer`, and their exponent int32 [1].
    """

    codes = ("CONV_ERRORS",)
    template = "conv_errors"
    header = "driftc_meta.h"
    arithmetic = (
        "t = sum over the windows that a value is in, and their filters, of error * weight, int32, exact; shifted "
        "right, rounded, halves upwards, by as little as makes the largest of all less than 2^14 before rounding, and "
        "the exponent grows by that."
    )

    layer: Convolution  # that the errors flow back through
    order: str = "plain"  # in which flash has its weights (kernels/packed.py): filter by filter

    @cached_property
    def weights(self) -> Array:
        """int8 [O, kernel rows, kernel pixels, C / groups]."""
        return filters_of(self.layer)

    @property
    def groups(self) -> int:
        channels: int = self.layer.inputs[0].shape[3]
        return channels // int(self.weights.shape[3])

    @property
    def pixels(self) -> tuple[int, int]:
        """Rows and pixels of the errors that come in."""
        return self.layer.output_size()

    @property
    def macs(self) -> int:
        height, width = self.pixels
        return 2 * height * width * self.weights.size  # once to find the largest

    def check(self) -> None:
        super().check()
        filters, rows, pixels, depth = self.weights.shape
        each = np.abs(self.weights.astype(np.int64)).reshape(self.groups, filters // self.groups, rows * pixels, depth)
        if int(each.sum(axis=(1, 2)).max()) << MANTISSA > INT32_MAX:
            self.refuse(f"errors through its {filters} filters can overflow int32")

    def infer(self) -> tuple[Shape, ...]:
        return (self.layer.inputs[0].shape, (1,))

    def summary(self) -> str:
        return "errors through the frozen convolution"

    def sums(self, errors: Array) -> Int64:
        """t, int64 [H, W, C]."""
        filters, rows, columns, depth = self.weights.shape
        _, height, width, channels = self.layer.inputs[0].shape
        (out_height, out_width), groups = self.pixels, self.groups
        top, bottom, left, right = self.layer.padding
        (sy, sx), (dy, dx) = self.layer.stride, self.layer.dilation
        e = np.asarray(errors, np.float64).reshape(out_height, out_width, groups, filters // groups)
        w = self.weights.astype(np.float64).reshape(groups, filters // groups, rows, columns, depth)
        padded = np.zeros((height + top + bottom, width + left + right, groups, depth))  # exact: below 2^31
        for ky in range(rows):
            for kx in range(columns):
                found = np.einsum("yxgo,god->yxgd", e, w[:, :, ky, kx], optimize=True)
                y, x = ky * dy, kx * dx
                padded[y : y + out_height * sy : sy, x : x + out_width * sx : sx] += found
        whole = padded[top : top + height, left : left + width].reshape(height, width, channels)
        return whole.astype(np.int64)

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        errors, exponent = inputs
        return self.normalized(self.sums(errors), int(exponent.reshape(-1)[0]))
