"""Masters of int16, which lose what is below their unit at random, and NEXT_NOISE, which says where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.learn.base import Learning
from driftc.codegen.operators.learn.master_sums import FRACTION, NARROW_FRACTION
from driftc.codegen.tensor import Array, Shape, Tensor

LESS = FRACTION - NARROW_FRACTION
GOLDEN = 0x9E3779B9  # 2^32 by the golden ratio: its multiples are spread evenly over 2^32
ROUNDED = (
    "Masters of int16, within +-127 * 2^8, lose floor(product / 2^shift + u / 2^32), "
    "shift being 8 more, up to 62; u = (noise + n * 0x9E3779B9) mod 2^32 for element n of the tensor, in the order in "
    "which it lies in memory."
)


def is_narrow(masters: Tensor) -> bool:
    return masters.dtype == np.int16


def lost(products: Int64, shift: int, noise: Array) -> Int64:
    """What int16 masters lose: `products` / 2^`shift`, 1 to 62, rounded up as often as their fractions are large."""
    steps = np.arange(products.size, dtype=np.uint64).reshape(products.shape) * np.uint64(GOLDEN)
    start = np.uint64(int(noise.reshape(-1)[0]) % 2**32)
    threshold = ((steps + start) % np.uint64(2**32)).astype(np.int64)
    up = threshold >> 32 - shift if shift < 32 else threshold << shift - 32
    return np.asarray((products + up) >> shift, np.int64)


@dataclass(frozen=True, eq=False, kw_only=True)
class NextNoise(Learning):
    """Input and output: 32 bits, int32 [1], not all 0."""

    codes = ("NEXT_NOISE",)
    template = "next_noise"
    arithmetic = "One step of xorshift32: x ^= x << 13, x ^= x >> 17, x ^= x << 5, of 32 bits."

    def infer(self) -> tuple[Shape, ...]:
        return ((1,),)

    def summary(self) -> str:
        return "how the next step rounds"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        x = int(inputs[0].reshape(-1)[0]) % 2**32
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        return (np.array([x], np.uint32).view(np.int32),)
