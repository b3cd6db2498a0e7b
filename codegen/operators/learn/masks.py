"""Which errors count: not those of values that were clamped. A mask is the map itself, or one bit for each value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.learn.base import Learning
from driftc.codegen.tensor import Array, Shape

Bounds = tuple[int, int] | None  # of a mask that is a map, exclusive; None: it is what LIVE_BITS gives
Live = tuple[Bounds, ...]


def packed(live: NDArray[np.bool_]) -> NDArray[np.int8]:
    """A bit for each element, eight a byte, the lowest first."""
    return np.packbits(live.reshape(-1), bitorder="little").view(np.int8)


def unpacked(bits: Array, shape: Shape) -> NDArray[np.bool_]:
    size = int(np.prod(shape))
    found = np.unpackbits(np.ascontiguousarray(bits).view(np.uint8).reshape(-1), count=size, bitorder="little")
    return found.reshape(shape).astype(np.bool_)


def counted(errors: Int64, live: Live, masks: Sequence[Array]) -> Int64:
    """`errors`, but 0 where a value was clamped; each mask holds as many elements, in their order."""
    for bounds, mask in zip(live, masks, strict=True):
        if bounds is None:
            alive = unpacked(mask, errors.shape)
        else:
            at = mask.reshape(errors.shape)
            alive = (at > bounds[0]) & (at < bounds[1])
        errors = np.where(alive, errors, 0)
    return errors


@dataclass(frozen=True, eq=False, kw_only=True)
class LiveBits(Learning):
    """Input: a map int8 or int16 that a clamp gave. Output: int8 [size / 8], a bit for each value within it."""

    codes = ("LIVE_BITS",)
    template = "live_bits"
    arithmetic = "A bit is 1 where the value is strictly within the clamp's bounds; eight a byte, the lowest first."

    bounds: tuple[int, int]

    def infer(self) -> tuple[Shape, ...]:
        return ((-(-self.inputs[0].size // 8),),)

    def summary(self) -> str:
        return "which values were not clamped"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        low, high = self.bounds
        return (packed((inputs[0] > low) & (inputs[0] < high)),)
