"""DECISION_ENTROPY: how unsure a classifier is, in bits, from its logits."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log
from typing import Self

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.powers import bit_length, log2
from driftc.codegen.tensor import Array, Shape, Tensor

FRACTION = 12  # of bits
MOST_BITS, SUM_BITS = 20, 24  # of one power, of their sum
LARGEST_CLASSES = 512  # fewer bits of a power would say too little
# log2(1 + i/32) in Q.12.
KNOTS = (log2(np.arange(32, 65, dtype=np.int64)) - (5 << 24) + (1 << 11)) >> 12


@dataclass(frozen=True, eq=False, kw_only=True)
class DecisionEntropy(Operator):
    """Input: logits, int8 [..., C]. Output: int32 [1], the entropy of their softmax, bits in Q.12."""

    codes = ("DECISION_ENTROPY",)
    in_files = False
    template = "decision_entropy"
    header = "driftc_upload.h"
    compared = "the specification alone; float64 in the tests"
    arithmetic = (
        "Integers alone. d = largest logit - logit; T = round(2^p e^(-scale d)) from a table, p so that Z = sum of T "
        "is at most 2^24, and at most 20; S = sum of T d, below 2^32. m = S / Z in Q.16, rounded down, by three "
        "divisions of 32 bits. H = log2(Z) - p + m * factor / 2^20 in Q.12, factor = scale / ln 2 in Q.16, 64-bit "
        "product rounded down; log2 by the lines between 33 knots. Within 0.001 bit up to 16 classes, 0.03 for 512."
    )

    powers: NDArray[np.int32] = field(repr=False)  # T of d = 0, 1, ...: 0 behind them
    factor: int  # Q.16

    @classmethod
    def of(cls, name: str, logits: Tensor, output: Tensor, beta: float = 1.0) -> Self:
        """`beta` is what the softmax behind the logits multiplies them with. Raises ModelError."""
        scale = logits.scale * beta
        powers = np.rint(2.0 ** fraction(logits.size) * np.exp(-scale * np.arange(256))).astype(np.int32)
        found = cls(
            name=name,
            label=output.label,
            inputs=(logits,),
            outputs=(output,),
            powers=powers[powers > 0],
            factor=round(2**16 * scale / log(2)),
        )
        found.check()
        return found

    @property
    def classes(self) -> int:
        return self.inputs[0].size

    @property
    def fraction(self) -> int:
        """Of the powers, bits."""
        return fraction(self.classes)

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return self.inputs

    def check(self) -> None:
        super().check()
        if not 2 <= self.classes <= LARGEST_CLASSES:
            self.refuse(f"{self.classes} classes; the entropy is computed of 2 to {LARGEST_CLASSES}")
        largest = int((self.powers.astype(np.int64) * np.arange(self.powers.size)).max())
        if self.classes * largest >= 2**32 or not 0 < self.factor < 2**31:
            self.refuse("the scale of its logits is out of any sensible range")

    def infer(self) -> tuple[Shape, ...]:
        return ((1,),)

    def summary(self) -> str:
        return f"entropy of the decision between {self.classes} classes"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        logits = np.asarray(inputs[0], np.int64).reshape(-1)
        away = logits.max() - logits
        reach = self.powers.size
        powers = np.where(away < reach, self.powers.astype(np.int64)[np.minimum(away, reach - 1)], 0)
        total, moment = int(powers.sum()), int((powers * away).sum())
        mean = (moment << 16) // total  # what three divisions of 32 bits give too
        entropy = int(log2_q12(np.array([total]))[0]) - (self.fraction << FRACTION) + ((mean * self.factor) >> 20)
        return (np.array([entropy], np.int32),)


def fraction(classes: int) -> int:
    """Bits of fraction that powers have."""
    return min(MOST_BITS, SUM_BITS - (classes - 1).bit_length())


def log2_q12(x: Int64) -> Int64:
    """log2 of integers in [1, 2^32), Q.12, within 0.0003: the lines between 33 knots."""
    whole = bit_length(x) - 1
    top = x << (31 - whole)
    segment, part = (top >> 26) & 31, (top >> 10) & 0xFFFF
    step = KNOTS[segment + 1] - KNOTS[segment]
    return np.asarray((whole << FRACTION) + KNOTS[segment] + ((step * part + (1 << 15)) >> 16), np.int64)
