"""The forward pass of a meta network on pooled features: sums of a map, an affine map a channel, the pool's rounding.

EcoTTA's light meta network (arXiv 2303.01904) in its smallest form: behind the global pool, where the gradient needs no
backward pass through frozen layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.learn.base import Learning, rounded
from driftc.codegen.operators.reduction.average_pool_2d import AveragePool2D
from driftc.codegen.operators.reduction.mean import Mean
from driftc.codegen.tensor import Array, Shape, Tensor

GAIN_FRACTION, OFFSET_FRACTION = 24, 20
UNITY = 1 << GAIN_FRACTION
INT16_MAX = 2**15 - 1


def sums_type(pixels: int) -> np.dtype[np.signedinteger]:
    """What holds the sum of so many int8 values without their zero point."""
    return np.dtype(np.int16 if 255 * pixels <= INT16_MAX else np.int32)


@dataclass(frozen=True, eq=False, kw_only=True)
class PoolSums(Learning):
    """Input: x int8 [1, H, W, C]. Output: of each channel the sum without zero points, int16 or int32 [1, C]."""

    codes = ("POOL_SUMS",)
    template = "pool_sums"
    arithmetic = (
        "Exact: sums of (x - zero) over up to 2^23 pixels, int16 where 255 times their number fits, else int32."
    )

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return self.inputs

    @property
    def pixels(self) -> int:
        height, width, _ = self.inputs[0].hwc
        return height * width

    def infer(self) -> tuple[Shape, ...]:
        return ((1, self.inputs[0].hwc[2]),)

    def check(self) -> None:
        super().check()
        if self.outputs[0].dtype != sums_type(self.pixels) or self.pixels >= 1 << 23:
            self.refuse(f"sums {self.pixels} values into {self.outputs[0].dtype.name}")

    def summary(self) -> str:
        return f"sums of {self.pixels} values"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        x = np.asarray(inputs[0], np.int64).reshape(-1, self.inputs[0].hwc[2]) - self.inputs[0].zero_point
        return (x.sum(axis=0).astype(self.outputs[0].dtype).reshape(1, -1),)


@dataclass(frozen=True, eq=False, kw_only=True)
class MetaAffine(Learning):
    """Inputs: sums [1, C]; gains int32 [C], Q.24; offsets int32 [C], Q.20 pooled steps. Output: int32 [1, C].

    With gains of 1 and offsets of 0 the sums as they are.
    """

    codes = ("META_AFFINE",)
    template = "meta_affine"
    header = "driftc_meta.h"
    arithmetic = (
        "S + (gain - 2^24) * S / 2^24 + pixels * offset / 2^20, both in int64 and rounded, halves upwards; within "
        "+-255 times the pixels, as sums of int8 values are."
    )

    pixels: int

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape,)

    def summary(self) -> str:
        return "what was learnt of each channel"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        sums, gain, offset = (np.asarray(array, np.int64).reshape(-1) for array in inputs)
        moved = sums + rounded((gain - UNITY) * sums, GAIN_FRACTION) + rounded(self.pixels * offset, OFFSET_FRACTION)
        most = 255 * self.pixels
        return (np.clip(moved, -most, most).astype(np.int32).reshape(self.outputs[0].shape),)


@dataclass(frozen=True, eq=False, kw_only=True)
class PoolFinish(Learning):
    """Input: sums without zero points, int32 [1, C]. Output: int8, what `pool` makes of a map with these sums."""

    codes = ("POOL_FINISH",)
    template = "pool_finish"
    arithmetic = "As MEAN or AVERAGE_POOL_2D, whichever the model has, once the sums are there."

    pool: Mean | AveragePool2D

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return self.outputs

    @property
    def pixels(self) -> int:
        height, width, _ = self.pool.inputs[0].hwc
        return height * width

    @property
    def raw(self) -> int:
        """What the zero points of all pixels add up to, where the pool counts them."""
        return self.pool.inputs[0].zero_point * self.pixels if isinstance(self.pool, AveragePool2D) else 0

    @property
    def averages(self) -> bool:
        """The pool is AVERAGE_POOL_2D, not MEAN."""
        return isinstance(self.pool, AveragePool2D)

    def infer(self) -> tuple[Shape, ...]:
        return self.pool.infer()

    def summary(self) -> str:
        return f"the rounding of the pool, {self.pool.kind}"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        sums = np.asarray(inputs[0], np.int64).reshape(-1) + self.raw
        if isinstance(self.pool, AveragePool2D):
            return (self.pool.requantise(sums.reshape(1, 1, 1, -1)).reshape(self.outputs[0].shape),)
        return (self.pool.requantise(sums),)
