"""ENTROPY_GRADIENT: what a meta network learns from its own decision, where it is sure enough and the stream is mixed.

The gradient by the logits of the entropy, and of a term that holds the decisions of late in balance (learning.md, part
3, section 4), with the rules that let nothing change.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.elementwise.powers import log2
from driftc.codegen.operators.learn.base import Learning, exponent_of, rounded
from driftc.codegen.operators.learn.cross_entropy import FARTHEST, OCTAVE, ONE, halving
from driftc.codegen.tensor import Array, Shape, Tensor

FULL = ONE - 1  # a share of 1, Q.15
MIXED = 13107  # 0.4: nothing changes while one class has so large a share of the decisions of late
SHARE_RATE, AVERAGE_RATE = 3277, 1311  # 1/20 and 1/50 in Q.16
LEAST = 33  # 0.001, Q.15: added to the running mean of a class before its logarithm
BALANCE = 5  # of the balance term
LN2 = 2839  # Q.12


def ln(x: Int64) -> Int64:
    """Natural logarithm of positive integers, Q.12."""
    return np.asarray((log2(x) * LN2) >> 24, np.int64)


@dataclass(frozen=True, eq=False, kw_only=True)
class EntropyGradient(Learning):
    """Inputs: logits int8 [1, C]; mean of the probabilities and shares of the decisions, int16 [C], Q.15.

    Outputs: gradient int16 [1, C]; int32 [2]: its exponent, and whether it is to be learnt from; both means afterwards.
    """

    codes = ("ENTROPY_GRADIENT",)
    template = "entropy_gradient"
    header = "driftc_meta.h"
    arithmetic = (
        "d = largest logit - logit; T = 2^(-d * octave / 2^8 / 256) as in CROSS_ENTROPY; p = T * 2^15 / sum of T, "
        "rounded down; x = d * nat / 2^8, Q.12; M = sum of p x / 2^15 and lm = sum of p l / 2^15, rounded down, l "
        "the natural logarithm, Q.12, of the running mean + 33; H = M + ln(sum of T / 2^15). g = p (x - M) + 5 p (l "
        "- lm), times the row's share of the largest weight scale in Q.15, int64; shifted right, rounded, halves "
        "upwards, until its largest is below 2^14. The running mean moves by 1/50 of p - mean, the shares by 1/20, "
        "rounded alike. Open where the largest share before was below 0.4 and H below the limit; else the gradient "
        "is 0."
    )

    octave: int  # a logit's step in 1/256 octaves, Q.8
    nat: int  # and in nats, Q.20
    limit: int  # of the entropy, nats in Q.12
    scale: NDArray[np.int32] = field(repr=False)  # [C], Q.15: each row's weight scale, by the largest

    @property
    def classes(self) -> int:
        return self.inputs[0].size

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return self.inputs[:1]

    def check(self) -> None:
        super().check()
        fits = 0 < self.octave < 1 << 20 and 0 < self.nat < 1 << 22 and self.limit > 0
        if not fits or self.scale.dtype != np.int32 or not 0 < int(self.scale.min()) <= int(self.scale.max()) <= ONE:
            self.refuse("the scales of its logits are out of any sensible range")

    def infer(self) -> tuple[Shape, ...]:
        return ((1, self.classes), (2,), self.inputs[1].shape, self.inputs[2].shape)

    def summary(self) -> str:
        return "gradient of the entropy, where it is to be learnt from"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        logits, mean, share = (np.asarray(array, np.int64).reshape(-1) for array in inputs)
        away = logits.max() - logits
        halves = np.minimum((away * self.octave) >> 8, FARTHEST)
        powers = halving()[halves % OCTAVE] >> (halves // OCTAVE)
        p = (powers << 15) // powers.sum()
        x = (away * self.nat) >> 8
        middle = (p * x).sum() >> 15
        entropy = middle + ln(powers.sum().reshape(1))[0] - 15 * LN2
        logs = ln(mean + LEAST) - 15 * LN2
        level = (p * logs).sum() >> 15
        target = np.where(np.arange(self.classes) == np.argmax(logits), FULL, 0)
        opened = int(share.max() < MIXED and entropy < self.limit)
        gradient = p * (x - middle) + BALANCE * p * (logs - level)
        if np.ptp(self.scale):
            gradient = (gradient * self.scale) >> 15
        exponent = exponent_of(gradient)
        found = rounded(gradient, exponent)
        return (
            (found if opened else 0 * found).astype(np.int16).reshape(1, -1),
            np.array([exponent if opened else 0, opened], np.int32),
            (mean + rounded((p - mean) * AVERAGE_RATE, 16)).astype(np.int16),
            (share + rounded((target - share) * SHARE_RATE, 16)).astype(np.int16),
        )
