"""How a finished sum becomes int8 in five instructions (six with a sign), and when that gives the exact bytes.

twice = 2 * sum; SMMLAR(twice, multiplier, half) is gemmlowp's doubling high multiply, plus `half`; an arithmetic shift
by s - 1 and SSAT ... ASR #1 are its rounding shift by s, the zero point and the saturation to int8, because floors over
powers of two merge. half = (2 * zero + 1) << (s - 1) holds the zero point and what rounds halves upwards; gemmlowp
rounds them away from zero, for which one is subtracted below zero: not where all there is clamped to the zero point
anyway. Needs |sum| < 2^30 and 1 <= s <= 23.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.operators.convolution.weighted import Int64, Weighted
from driftc.codegen.tensor import Array

SHIFTS = (1, 23)  # 255 << 22 is below 2^30


class Limits(NamedTuple):
    """Of sums, in magnitude, and of right shifts, which are 1 at least."""

    sum: int
    shift: int


SHORT = Limits(1 << 30, SHIFTS[1])  # twice a sum fits int32
MOST = 4  # others of a layer, and of eight channels one


@dataclass(frozen=True, eq=False)
class Scales:
    """Of a layer. `idle` channels need no weights: they have one value whatever the input, or are among `others`.

    Those do not fit the short form, and are computed apart.
    """

    bias: NDArray[np.int64]  # what a sum of products starts from
    multiplier: NDArray[np.int32]
    shift: NDArray[np.uint8]  # less one
    idle: NDArray[np.bool_]
    others: tuple[int, ...]
    zero: int
    low: int
    high: int
    updatable: bool = False  # bias, multiplier and shift can change

    @property
    def twice(self) -> NDArray[np.int32]:
        """Twice the bias, which may wrap."""
        return (2 * self.bias & 0xFFFFFFFF).astype(np.uint32).view(np.int32)

    @property
    def signed(self) -> bool:
        """Values below the zero point are kept."""
        return self.low < self.zero

    @property
    def clamped(self) -> bool:
        """What saturation to int8 leaves is not the range."""
        return (self.low, self.high) != (-128, 127)

    @property
    def uniform(self) -> bool:
        """All channels that depend on the input share multiplier and shift, and there is no other."""
        alike = not self.updatable and not self.idle.any()
        return alike and bool(np.ptp(self.multiplier) == 0 and np.ptp(self.shift) == 0)

    def constants(self) -> dict[str, Array]:
        """`scales`, twice the bias and multiplier, and `shifts`; of channels in fours."""
        return {
            "scales": in_fours(np.stack([self.twice, self.multiplier], axis=1)),
            "shifts": in_fours(self.shift),
        }


@lru_cache(maxsize=512)
def scales_of(op: Weighted, limits: Limits = SHORT, others: int = 0, heavy: tuple[int, ...] = ()) -> Scales | None:
    """None where more than `others` channels need more than the short form, by their sums or scales or as `heavy`."""
    if op.epilogue != "requantize" or op.scaler not in ("driftc_to_int8", "driftc_to_int8_any"):
        return None
    low, high = op.range
    bottom, top = bounds(op)
    multiplier = np.broadcast_to(op.multiplier.value, (op.channels,)).copy()
    shift = np.broadcast_to(-op.multiplier.shift, (op.channels,)).copy()
    least, most = op.requantise(bottom).astype(np.int64), op.requantise(top).astype(np.int64)
    unwrapped = np.maximum(np.abs(bottom), np.abs(top)) << np.maximum(-shift, 0) < 1 << 31  # and so monotone
    idle = (least == most) & unwrapped & (not op.updatable)
    fits = (np.maximum(np.abs(bottom), np.abs(top)) < limits.sum) & (shift >= SHIFTS[0]) & (shift <= limits.shift)
    fits[list(heavy)] = False
    apart = ~(fits | idle)
    if idle.all() or apart.sum() > (0 if op.updatable else others):
        return None  # what is the same for every input, the compiler knows better
    bias = op.folded_bias.astype(np.int64)
    bias[idle] = 4 * (least[idle] - op.zero_out)  # times 1/2, shifted by 1: the value itself
    bias[apart], idle = 0, idle | apart
    multiplier[idle], shift[idle] = 1 << 30, 1
    less_one = (shift - 1).astype(np.uint8)
    numbers = tuple(np.flatnonzero(apart).tolist())
    return Scales(bias, multiplier.astype(np.int32), less_one, idle, numbers, op.zero_out, low, high, op.updatable)


def others_of(op: Weighted) -> int:
    """How many channels of a layer may be computed apart."""
    return max(1, min(MOST, op.channels // 8))


def apart(op: Weighted, scales: Scales | None) -> dict[str, Any]:
    """For templates: of each channel that is computed apart number, multiplier and shift; and how its sum ends."""
    if scales is None:
        return {"others": [], "ending": ""}
    multiplier, shift = (np.broadcast_to(each, (op.channels,)) for each in (op.multiplier.value, -op.multiplier.shift))
    others = [(c, int(multiplier[c]), int(shift[c])) for c in scales.others]
    return {"others": others, "ending": f"{scales.zero}, {scales.low}, {scales.high}"}


def bounds(op: Weighted) -> tuple[Int64, Int64]:
    """The smallest and the largest sum of each channel, of any input."""
    assert op.weights.data is not None
    weights = np.moveaxis(op.weights.data.astype(np.int64), op.channel_axis, 0).reshape(op.channels, -1)
    least, most = -128 - op.inputs[0].zero_point, 127 - op.inputs[0].zero_point
    positive, negative = np.maximum(weights, 0).sum(axis=1), np.minimum(weights, 0).sum(axis=1)
    bias = op.raw_bias
    return bias + positive * least + negative * most, bias + positive * most + negative * least


def in_fours(data: Array) -> Array:
    """Padded with zeros to a multiple of four along the first axis."""
    missing = -data.shape[0] % 4
    return np.concatenate([data, np.zeros((missing, *data.shape[1:]), data.dtype)]) if missing else data
