"""Errors on their way back through frozen layers: int16 within +-2^14, and one exponent for all of a map's."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.learn.base import MANTISSA, WithExponent, exponent_of, rounded
from driftc.codegen.operators.learn.masks import Live, counted
from driftc.codegen.tensor import Array, Shape, Tensor

FACTOR = 15  # fractional bits of a constant factor


def factors(real: NDArray[np.float64]) -> tuple[NDArray[np.int32], int]:
    """Positive numbers as ERRORS_THROUGH takes them: up to 2^15, in units of 2^up."""
    fraction, power = np.frexp(real.max())
    up = int(power) - FACTOR - int(fraction == 0.5)
    return np.rint(real * 2.0**-up).astype(np.int32), up


@dataclass(frozen=True, eq=False, kw_only=True)
class PooledErrors(WithExponent):
    """Inputs: a gradient by pooled features int32 [1, C]; gains int32 [C], Q.24; int32 [2]: the gradient's exponent.

    Outputs: errors int16 [1, C] of each pixel in front of the pool, 2^-24 / pixels of the gradient's unit; int32 [1].
    """

    codes = ("POOLED_ERRORS",)
    template = "pooled_errors"
    header = "driftc_meta.h"
    arithmetic = (
        "p = gradient * gain, int64; shifted right, rounded, halves upwards, by as little as makes the largest less "
        "than 2^14 before rounding, and the exponent grows by that."
    )

    def summary(self) -> str:
        return "errors in front of the pool"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        gradient, gains, info = (np.asarray(array, np.int64).reshape(-1) for array in inputs)
        return self.normalized(gradient * gains, int(info[0]))


@dataclass(frozen=True, eq=False, kw_only=True)
class ErrorsThrough(WithExponent):
    """Inputs: errors int16, [1, C] where every pixel has the same, or one each; their exponent int32 [1]; where
    `moving`, a multiplier of each channel, int32 [C]; masks, by `live`.

    Outputs: errors int16 [1, H, W, C] times each channel's factor, and their exponent int32 [1].
    """

    codes = ("ERRORS_THROUGH",)
    template = "errors_through"
    header = "driftc_meta.h"
    arithmetic = (
        "A constant factor f of each channel, up to 2^15: error * f / 2^15, rounded, halves upwards, int32; the "
        "exponent grows by 15 and a constant. With a multiplier: m = multiplier * f, int64, of all channels shifted "
        "right, rounded, halves upwards, by as little as makes the largest less than 2^14 before rounding; error * m / "
        "2^14, rounded alike; the exponent grows by 14, that shift and a constant. 0 where a mask says that the value "
        "was clamped."
    )

    factor: NDArray[np.int32] = field(repr=False)  # [C]
    up: int  # the factor is in units of 2^up
    moving: bool
    live: Live = ()  # of each mask

    @property
    def channels(self) -> int:
        return self.factor.size

    @property
    def alike(self) -> bool:
        """Every pixel has the same error."""
        return self.inputs[0].size == self.channels and self.outputs[0].size != self.channels

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return self.inputs[3 if self.moving else 2 :]

    def check(self) -> None:
        super().check()
        if self.factor.min() < 0 or self.factor.max() > 1 << FACTOR or abs(self.up) >= 1 << 10:
            self.refuse("its scales are out of any range through which a gradient could flow")

    def infer(self) -> tuple[Shape, ...]:
        return (self.outputs[0].shape, (1,))

    def summary(self) -> str:
        return "errors through multipliers and an activation"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        errors, exponent, *rest = inputs
        shape = self.outputs[0].shape
        e: Int64 = np.broadcast_to(np.asarray(errors, np.int64).reshape(-1, self.channels), self._rows(shape))
        by, bits, more = self.factor.astype(np.int64), FACTOR, 0
        if self.moving:
            by = rest.pop(0).astype(np.int64).reshape(-1) * by
            more, bits = exponent_of(by), MANTISSA
            by = rounded(by, more)
        found = counted(rounded(e * by, bits).reshape(shape), self.live, rest)
        power = int(exponent.reshape(-1)[0]) + bits + more + self.up
        return found.astype(np.int16), np.array([power], np.int32)

    def _rows(self, shape: Shape) -> Shape:
        return (int(np.prod(shape)) // self.channels, self.channels)


@dataclass(frozen=True, eq=False, kw_only=True)
class ErrorsSum(WithExponent):
    """Inputs: errors int16 and exponent int32 [1], twice; either [1, C], where every pixel has the same, or one each.

    Outputs: their sum int16, and its exponent int32 [1].
    """

    codes = ("ERRORS_SUM",)
    template = "errors_sum"
    header = "driftc_meta.h"
    arithmetic = (
        "Each times 2^14, shifted right by the largest exponent less its own, at most 30, rounded, halves upwards; "
        "their sum, int32, shifted right, rounded alike, by as little as makes the largest less than 2^14 before "
        "rounding."
    )

    @property
    def channels(self) -> int:
        return self.outputs[0].shape[-1]

    def infer(self) -> tuple[Shape, ...]:
        return (self.outputs[0].shape, (1,))

    def summary(self) -> str:
        return "errors of both branches"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        powers = [int(inputs[n].reshape(-1)[0]) for n in (1, 3)]
        rows = (self.outputs[0].size // self.channels, self.channels)
        total: Int64 = np.zeros(rows, np.int64)
        for errors, power in zip(inputs[::2], powers, strict=True):
            e = np.asarray(errors, np.int64).reshape(-1, self.channels) << MANTISSA
            total = total + rounded(e, min(max(powers) - power, 30))
        return self.normalized(total, max(powers) - MANTISSA)
