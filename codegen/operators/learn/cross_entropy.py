"""CROSS_ENTROPY: the gradient of softmax and cross-entropy at the sums of a dense layer, and the class decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.learn.base import WithExponent
from driftc.codegen.tensor import Array

OCTAVE = 256  # steps of a logit in which its exponential doubles
ONE = 1 << 15  # of probabilities and gradients
NO_LABEL = -1
LARGEST_LOGIT = 1 << 24  # in steps; what lies further out is as far out
FARTHEST = 16 * OCTAVE  # below the largest logit: 2^-16 of its exponential is nothing


@cache
def halving() -> Int64:
    """2^(-i / 256) in Q.15, i from 0 to 255."""
    return np.asarray(np.rint(ONE * np.exp2(-np.arange(OCTAVE) / OCTAVE)), np.int64)


@dataclass(frozen=True, eq=False, kw_only=True)
class CrossEntropy(WithExponent):
    """Inputs: sums int32 [1, C]; label int32 [1], -1 for none. Outputs: gradient int16 [1, C], Q.15; class int32 [1].

    Gradient of -log softmax(scale * sums)[label] by scale * sums: p - 1 at the label, p elsewhere; 0 without a label.
    """

    codes = ("CROSS_ENTROPY",)
    template = "cross_entropy"
    header = "driftc_learn.h"
    arithmetic = (
        "Logits in 1/256 octaves: sum * scale / 2^shift of each row, int64, rounded down, within +-2^24. d = largest - "
        "logit, at most 2^12; e = 2^(-d / 256) from a table of 256 in Q.15, shifted down; p = e * 2^15 / sum of e, "
        "rounded down; at the label 2^15 less; at most 2^15 - 1. The class is the first with the largest logit."
    )

    scale: NDArray[np.int32] = field(repr=False)  # [C], 0 to 2^15
    shift: int  # 0 to 46

    def check(self) -> None:
        super().check()
        fits = self.scale.dtype == np.int32 and int(self.scale.min()) >= 0 and int(self.scale.max()) <= ONE
        if not fits or not 0 <= self.shift <= 46:
            self.refuse("the scales of its sums are out of any sensible range")

    def summary(self) -> str:
        return "gradient of the cross-entropy"

    def logits(self, sums: Array) -> Int64:
        """In 1/256 octaves."""
        scaled = (np.asarray(sums, np.int64).reshape(-1) * self.scale.astype(np.int64)) >> self.shift
        return np.asarray(np.clip(scaled, -LARGEST_LOGIT, LARGEST_LOGIT), np.int64)

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        logits = self.logits(inputs[0])
        label = int(np.asarray(inputs[1]).reshape(-1)[0])
        away = np.minimum(logits.max() - logits, FARTHEST)
        powers = halving()[away % OCTAVE] >> (away // OCTAVE)
        gradient = (powers << 15) // powers.sum()
        if label == NO_LABEL:
            gradient[:] = 0
        else:
            gradient[label] -= ONE
        decided = np.array([int(np.argmax(logits))], np.int32)
        return np.minimum(gradient, ONE - 1).astype(np.int16).reshape(self.inputs[0].shape), decided
