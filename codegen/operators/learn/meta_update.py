"""META_UPDATE: a step of gradient descent on the gains and offsets of a meta network, held near the frozen network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.learn.base import MANTISSA, Learning, exponent_of, rounded
from driftc.codegen.operators.learn.cross_entropy import ONE
from driftc.codegen.operators.learn.entropy import AVERAGE_RATE
from driftc.codegen.operators.learn.meta import OFFSET_FRACTION, UNITY
from driftc.codegen.tensor import Array, Shape

LARGEST_GAIN = 2 * UNITY
LARGEST_EXPONENT = 42  # of a gradient: 25 of ENTROPY_GRADIENT, whose products are below 2^39, and 17 of an int32
FARTHEST = 3277  # 0.1, Q.15: how far the map may be from the frozen network on average
FAR_RATE = AVERAGE_RATE  # of that average, Q.16
CLOSED, LEARNT, RETURNED = range(3)  # what became of a sample
Factor = tuple[int, int]  # a mantissa below 2^15 and a right shift


@dataclass(frozen=True, eq=False, kw_only=True)
class MetaUpdate(Learning):
    """Inputs: gains int32 [C] Q.24, offsets int32 [C] Q.20, sums [1, C], gradient int32 [1, C], int32 [2]: its exponent
    and whether it is to be learnt from; int16 [1], Q.15: how far the map has been from the frozen network of late.

    Outputs: gains and offsets afterwards; int32 [2]: the exponent and 0 (nothing changed), 1 (learnt) or 2 (returned to
    the frozen network); and how far, afterwards.
    """

    codes = ("META_UPDATE",)
    template = "meta_update"
    header = "driftc_meta.h"
    arithmetic = (
        "t is the gradient, shifted right by e bits, rounded, halves upwards, so that its largest is below 2^14; e "
        "adds to its exponent. w = (gain - 2^24) * S + offset * pixels * 2^4, int64, is what the map adds, v its sign: "
        "on which side of the frozen network the channel is. A gain loses t * S * m / 2^(n - e) and v * S * m' / 2^n', "
        "an offset t * m'' / 2^(n'' - e) and v * hold, each in int64 and rounded, halves upwards; gains stay in [-2, "
        "2), offsets within their bound. Where it is not to be learnt from, nothing changes. D = sum of |w| / 2^24, "
        "rounded down, N = sum of |S|; r = 2^15 D / N, both shifted right until N is below 2^16, rounded down, 2^15 "
        "where D is N or more, 0 where both are 0; the distance moves by 1/50 of r - distance, rounded, halves "
        "upwards. Where it is then 0.1 (3277) or more, gains become 1, offsets 0 and it 0 instead."
    )

    pixels: int
    gain: Factor  # of t * S, and below of v * S and of t
    hold_gain: Factor
    offset: Factor
    hold_offset: int
    bound: int  # of the offsets, Q.20

    def check(self) -> None:
        super().check()
        factors = (self.gain, self.hold_gain, self.offset)
        fits = all(0 < mantissa < 1 << 15 and shift <= 62 for mantissa, shift in factors)
        least = self.gain[1] >= 28 and self.offset[1] >= 16 and self.hold_gain[1] >= 1
        if not fits or not least or not 0 <= self.hold_offset < 1 << 30 or not 0 < self.bound < 1 << 31:
            self.refuse(
                "the learning rate is out of any sensible range for the layer's scales; --learn-rate decides it"
            )
        left = max(LARGEST_EXPONENT - self.gain[1], 0)
        if 255 * self.pixels * self.gain[0] << MANTISSA + left >= 1 << 62:
            self.refuse(
                f"with a map of {self.pixels} values and so high a learning rate a step can overflow int64; "
                "--learn-rate decides it"
            )

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape, self.inputs[1].shape, self.inputs[4].shape, self.inputs[5].shape)

    def summary(self) -> str:
        return "a step against the gradient, held near the frozen network"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        gains, offsets, sums, gradient, info, far = (np.asarray(array, np.int64).reshape(-1) for array in inputs)
        exponent, opened = (int(value) for value in info)
        if not opened:
            return self._found(gains, offsets, exponent, CLOSED, far)
        apart = (gains - UNITY) * sums + ((offsets * self.pixels) << (24 - OFFSET_FRACTION))
        far = far + rounded((distance(apart, sums) - far) * FAR_RATE, 16)
        if far[0] >= FARTHEST:
            return self._found(np.full_like(gains, UNITY), 0 * offsets, exponent, RETURNED, 0 * far)
        more = exponent_of(gradient)
        t = rounded(gradient, more)
        e = exponent + more
        side = np.sign(apart)
        moved = rounded(t * sums * self.gain[0], self.gain[1] - e)
        moved = moved + rounded(side * sums * self.hold_gain[0], self.hold_gain[1])
        shifted = rounded(t * self.offset[0], self.offset[1] - e) + side * self.hold_offset
        return self._found(
            np.clip(gains - moved, -LARGEST_GAIN, LARGEST_GAIN - 1),
            np.clip(offsets - shifted, -self.bound, self.bound),
            exponent,
            LEARNT,
            far,
        )

    def _found(self, gains: Int64, offsets: Int64, exponent: int, what: int, far: Int64) -> tuple[Array, ...]:
        told = np.array([exponent, what], np.int32)
        return gains.astype(np.int32), offsets.astype(np.int32), told, far.astype(np.int16)


def distance(apart: Int64, sums: Int64) -> int:
    """How far sums are moved, Q.24, of how large they are: Q.15."""
    size, moved = int(np.abs(sums).sum()), int(np.abs(apart).sum()) >> 24
    if moved >= size:
        return ONE if moved else 0
    down = max(size.bit_length() - 16, 0)
    return ((moved >> down) << 15) // (size >> down)
