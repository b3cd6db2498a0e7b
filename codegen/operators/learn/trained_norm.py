"""TRAINED_NORM: what was learnt of a live layer's normalisation, put into the sample's multipliers and offsets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.adapt.adapt_kernel import LARGEST_MULTIPLIER, LIMIT, OUTPUT_FRACTION
from driftc.codegen.operators.elementwise.powers import EXPONENT_FRACTION, POWER_FRACTION, exp2
from driftc.codegen.operators.learn.base import Learning, rounded
from driftc.codegen.tensor import Array, Shape, Tensor

OCTAVE_BITS = 6  # 64 steps of a gain double it
OFFSET_FRACTION = OUTPUT_FRACTION


def gain_of(codes: Array) -> Int64:
    """What int8 codes multiply by, Q.16: 2^(code / 64)."""
    return exp2(np.asarray(codes, np.int64) << EXPONENT_FRACTION - OCTAVE_BITS)


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedNorm(Learning):
    """Inputs: multipliers and offsets int32 [C] of the sample, as ADAPT_AFFINE takes them; gains int8 [C], 64 to the
    octave, within +-127; offsets int32 [C], Q.17 steps of the output, within +-2^26. Outputs: both as they become.

    Of y = zero + gain * (normalised + offset): gains take the place of gamma, offsets of beta. 0 and 0 leave all as it
    was, to the bit.
    """

    codes = ("TRAINED_NORM",)
    template = "trained_norm"
    header = "driftc_norm.h"
    arithmetic = (
        "F = 2^(gain / 64) in Q.16, the power of two as in live layers. multiplier * F / 2^16 in int64, rounded, "
        "halves upwards, at most 2^23; z + (offset - z + learnt) * F / 2^16, rounded alike, within +-2^30, z the zero "
        "point and a half in Q.17."
    )

    zero_point: int  # of the output of ADAPT_AFFINE

    @property
    def base(self) -> int:
        """What ADAPT_AFFINE's offset is of an output of 0: the zero point, and the half that rounds."""
        return (2 * self.zero_point + 1) << OUTPUT_FRACTION - 1

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return self.inputs[2:3]

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape, self.inputs[1].shape)

    def summary(self) -> str:
        return "what was learnt of the normalisation"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        multiplier, offset, gains, learnt = (np.asarray(array, np.int64) for array in inputs)
        by = gain_of(gains)
        moved = self.base + rounded((offset - self.base + learnt) * by, POWER_FRACTION)
        return (
            np.minimum(rounded(multiplier * by, POWER_FRACTION), LARGEST_MULTIPLIER).astype(np.int32),
            np.clip(moved, -LIMIT, LIMIT).astype(np.int32),
        )
