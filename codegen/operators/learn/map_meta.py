"""A meta network on a map: an affine map of each channel, and its step of gradient descent, in place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.learn.base import Learning, rounded
from driftc.codegen.operators.learn.meta import GAIN_FRACTION, OFFSET_FRACTION, UNITY
from driftc.codegen.operators.learn.meta_update import LARGEST_GAIN, LEARNT, RETURNED, Factor
from driftc.codegen.tensor import Array, Shape, Tensor

MOST_PIXELS = 1 << 20  # sums of so many products of an error and a value, times a mantissa, stay below 2^58
FARTHEST = 1 << 30  # that a step moves
MOST_SHIFT = 62


def stepped(x: Int64, mantissa: int, down: int) -> Int64:
    """x * mantissa / 2^down, halves upwards, within +-2^30; |x * mantissa| < 2^62, any `down`."""
    product = x * mantissa
    if down >= 1:
        return np.asarray(np.clip(rounded(product, min(down, MOST_SHIFT)), -FARTHEST, FARTHEST), np.int64)
    up = np.clip(product, -FARTHEST, FARTHEST) << min(-down, 31)
    return np.asarray(np.clip(up, -FARTHEST, FARTHEST), np.int64)


@dataclass(frozen=True, eq=False, kw_only=True)
class MetaMap(Learning):
    """Inputs: x int8 [1, H, W, C]; gains int32 [C], Q.24; offsets int32 [C], Q.20 steps. Output: int8 alike.

    With gains of 1 and offsets of 0 the map as it is.
    """

    codes = ("META_MAP",)
    template = "meta_map"
    header = "driftc_meta.h"
    arithmetic = "zero + (gain * (x - zero) + offset * 2^4) / 2^24, int64, rounded, halves upwards; within int8."

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return (self.inputs[0], self.outputs[0])

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape,)

    def summary(self) -> str:
        return "what was learnt of each channel of the map"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        x, gains, offsets = (np.asarray(array, np.int64) for array in inputs)
        zero = self.inputs[0].zero_point
        moved = rounded(gains * (x - zero) + (offsets << (GAIN_FRACTION - OFFSET_FRACTION)), GAIN_FRACTION)
        return (np.clip(moved + zero, -128, 127).astype(np.int8),)


@dataclass(frozen=True, eq=False, kw_only=True)
class MapUpdate(Learning):
    """Inputs: gains int32 [C] Q.24, offsets int32 [C] Q.20; x int8 [1, H, W, C] before them; errors int16 behind them,
    [1, C] where every pixel has the same, or one each; their exponent int32 [1]; what META_UPDATE told, int32 [2].

    Outputs: both after the step.
    """

    codes = ("MAP_UPDATE",)
    template = "map_update"
    header = "driftc_meta.h"
    arithmetic = (
        "Of each channel, over the pixels, int64: G = sum of error * (x - zero), B = sum of error; w = (gain - 2^24) * "
        "(x - zero) + offset * 2^4 is what the map adds to a value, v its sign, S = sum of v * (x - zero), N = sum of "
        "v. A gain loses G * m / 2^(n - exponent) and S * m' / 2^n', an offset B * m'' / 2^(n'' - exponent) and N * "
        "m''' / 2^n''', each in int64, rounded, halves upwards, within +-2^30; gains stay in [-2, 2), offsets within "
        "their bound. The errors count where the map was clamped too. Where nothing is learnt nothing changes; where "
        "META_UPDATE returned to the frozen network, gains become 1 and offsets 0."
    )

    gain: Factor  # of G, and below of S, B and N
    hold_gain: Factor
    offset: Factor
    hold_offset: Factor
    bound: int  # of the offsets, Q.20

    @property
    def channels(self) -> int:
        return self.inputs[0].size

    @property
    def pixels(self) -> int:
        return self.inputs[2].size // self.channels

    @property
    def alike(self) -> bool:
        """Every pixel has the same error."""
        return self.inputs[3].size == self.channels

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return (self.inputs[2],)

    @property
    def macs(self) -> int:
        return 2 * self.inputs[2].size

    def check(self) -> None:
        super().check()
        factors = (self.gain, self.hold_gain, self.offset, self.hold_offset)
        if not all(0 < mantissa < 1 << 15 and abs(shift) < 1 << 10 for mantissa, shift in factors):
            self.refuse("the learning rate is out of any sensible range for its scales; --learn-rate decides it")
        if self.pixels > MOST_PIXELS or not 0 < self.bound < 1 << 31:
            self.refuse(f"a map of {self.pixels:,} pixels is too large for sums of a step")

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape, self.inputs[1].shape)

    def summary(self) -> str:
        return "a step against the gradient at a map, held near the frozen network"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        gains, offsets, x, errors, exponent, told = (np.asarray(array, np.int64) for array in inputs)
        gains, offsets, what = gains.reshape(-1), offsets.reshape(-1), int(told.reshape(-1)[1])
        if what == RETURNED:
            gains, offsets = np.full_like(gains, UNITY), np.zeros_like(offsets)
        if what == LEARNT:
            d = x.reshape(-1, self.channels) - self.inputs[2].zero_point
            e = np.broadcast_to(errors.reshape(-1, self.channels), d.shape)
            side = np.sign((gains - UNITY) * d + (offsets << (GAIN_FRACTION - OFFSET_FRACTION)))
            power = int(exponent.reshape(-1)[0])
            moved = stepped((e * d).sum(axis=0), self.gain[0], self.gain[1] - power)
            moved = moved + stepped((side * d).sum(axis=0), *self.hold_gain)
            shifted = stepped(e.sum(axis=0), self.offset[0], self.offset[1] - power)
            shifted = shifted + stepped(side.sum(axis=0), *self.hold_offset)
            gains = np.clip(gains - moved, -LARGEST_GAIN, LARGEST_GAIN - 1)
            offsets = np.clip(offsets - shifted, -self.bound, self.bound)
        return gains.astype(np.int32), offsets.astype(np.int32)
