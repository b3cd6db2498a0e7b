"""CONV_UPDATE: one step of gradient descent on the masters of a convolution, in their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.learn.base import Learning, rounded
from driftc.codegen.operators.learn.masks import Live, counted
from driftc.codegen.operators.learn.master_sums import LARGEST_BIAS_MASTER, fraction_of
from driftc.codegen.operators.learn.narrow import LESS, ROUNDED, is_narrow, lost
from driftc.codegen.operators.learn.trained_conv import Convolution, by_group, taps_of
from driftc.codegen.tensor import Array, Shape, Tensor

LARGEST_EXPONENT = 17  # by which one operator can shift errors
MOST_SHIFT = 62
INT32_PIXELS = 1 << 31 - 14 - 8 - 1  # of so many products of an error and an input the sum is an int32
MOST_PIXELS = 1 << 24  # and of so many, times a rate, it stays within int64


def down_of(shift: int, exponent: int) -> int:
    """By how many bits a step is shifted down."""
    return min(max(shift - exponent, 1), MOST_SHIFT)


@dataclass(frozen=True, eq=False, kw_only=True)
class ConvUpdate(Learning):
    """Inputs: masters int32 or int16 [O, rows, pixels, D], bias masters int32 [O], x int8 [1, H, W, C]; errors int16 at
    the output, [1, O] where every pixel has the same, or one each; their exponent int32 [1]; masks of it, by `live`;
    where masters are int16 noise, int32 [1].

    Outputs: both masters after the step.
    """

    codes = ("CONV_UPDATE",)
    template = "conv_update"
    header = "driftc_learn.h"
    arithmetic = (
        "Exact sums over the pixels: G of error * (x - zero) for each weight, E of the error for each bias, but for "
        "values that were clamped, int64. A master loses G * rate / 2^(shift - exponent), int64, rounded, halves "
        "upwards, and stays within +-127 * 2^16; a bias master E * bias_rate / 2^(bias_shift - exponent), alike, and "
        "stays within +-2^30; by 1 to 62 bits in either case. " + ROUNDED
    )

    layer: Convolution
    live: Live  # of each mask
    rate: NDArray[np.int32] = field(repr=False)  # [O], 0 to 2^15
    shift: int  # 18 to 62
    bias_rate: NDArray[np.int32] = field(repr=False)
    bias_shift: int
    slope: NDArray[np.float64] = field(repr=False)  # [O]: the loss by a real weight is G * slope * 2^exponent

    @property
    def learns(self) -> str:
        """The layer, by name."""
        return self.layer.name

    @property
    def filters(self) -> Shape:
        return self.inputs[0].shape

    @property
    def groups(self) -> int:
        return self.inputs[2].shape[3] // self.filters[3]

    @property
    def pixels(self) -> tuple[int, int]:
        """Rows and pixels of the output."""
        return self.layer.output_size()

    @property
    def alike(self) -> bool:
        """Every pixel has the same error."""
        return self.inputs[3].size == self.filters[0]

    @property
    def sum_type(self) -> str:
        """What holds the sum over the pixels in C."""
        return "int32_t" if self.alike or prod(self.pixels) < INT32_PIXELS else "int64_t"

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return (self.inputs[2], *self.inputs[5 : len(self.inputs) - self.narrow])

    @property
    def macs(self) -> int:
        return prod(self.pixels) * self.inputs[0].size

    @property
    def largest(self) -> int:
        """Of a master."""
        return 127 << fraction_of(self.inputs[0])

    @property
    def narrow(self) -> bool:
        return is_narrow(self.inputs[0])

    def check(self) -> None:
        super().check()
        largest = max(int(self.rate.max()), int(self.bias_rate.max()))
        fits = largest <= 1 << 15 and min(int(self.rate.min()), int(self.bias_rate.min())) >= 0
        fits = fits and LARGEST_EXPONENT < min(self.shift, self.bias_shift) <= max(self.shift, self.bias_shift)
        if not fits or max(self.shift, self.bias_shift) > MOST_SHIFT or prod(self.pixels) > MOST_PIXELS:
            self.refuse("the learning rate is out of any sensible range for its scales; --learn-rate decides it")

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape, self.inputs[1].shape)

    def summary(self) -> str:
        return "a step against the gradient of a convolution"

    def sums(self, x: Array, errors: Array, masks: Sequence[Array]) -> tuple[Int64, Int64]:
        """G in the shape of the masters, and E [O]."""
        shape = (prod(self.pixels), self.filters[0])
        e = np.broadcast_to(np.asarray(errors, np.int64).reshape(-1, shape[1]), shape)
        e = counted(e, self.live, masks[: len(self.live)])
        taps = taps_of(self.layer, x, self.filters).astype(np.float64)  # exact: sums stay below 2^53
        found = by_group(self.layer, e, self.filters).astype(np.float64).transpose(0, 2, 1) @ taps
        return found.reshape(self.filters).astype(np.int64), e.sum(axis=0)

    def squared_length(self, *inputs: Array) -> float:
        """Of the gradient by the layer's real weights."""
        _, _, x, errors, exponent, *masks = inputs
        sums, _ = self.sums(x, errors, masks)
        real = sums * self.slope.reshape(-1, 1, 1, 1)
        return float((real**2).sum()) * 4.0 ** int(exponent.reshape(-1)[0])

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        masters, bias, x, errors, exponent, *masks = inputs
        found, total = self.sums(x, errors, masks)
        e = int(exponent.reshape(-1)[0])
        products = found * self.rate.astype(np.int64).reshape(-1, 1, 1, 1)
        down = down_of(self.shift, e)
        moved = rounded(products, down) if not self.narrow else lost(products, min(down + LESS, MOST_SHIFT), inputs[-1])
        moved_bias = rounded(total * self.bias_rate.astype(np.int64), down_of(self.bias_shift, e))
        return (
            np.clip(masters - moved, -self.largest, self.largest).astype(self.inputs[0].dtype),
            np.clip(bias - moved_bias, -LARGEST_BIAS_MASTER, LARGEST_BIAS_MASTER).astype(np.int32),
        )
