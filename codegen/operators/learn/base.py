"""What every operator of learning is: a pass makes it, and its specification alone says what it computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.powers import bit_length
from driftc.codegen.tensor import Array, Shape, Tensor

MANTISSA = 14  # bits of an error, and of a gradient


def rounded(x: Int64, shift: int) -> Int64:
    """x / 2^shift, halves upwards; x * 2^-shift for a shift below 1."""
    if shift < 1:
        return np.asarray(x << -shift, np.int64)
    return np.asarray((x + (1 << shift - 1)) >> shift, np.int64)


def exponent_of(x: Int64) -> int:
    """By how many bits the largest is shifted to be below 2^14 before rounding."""
    largest = int(np.abs(x).max())
    return max(int(bit_length(np.array([largest]))[0]) - MANTISSA, 0) if largest else 0


@dataclass(frozen=True, eq=False, kw_only=True)
class Learning(Operator):
    """On sums, errors and masters: none of them is int8, where an operator does not say otherwise."""

    in_files = False
    compared: ClassVar[str] = "the specification alone; no reference learns"

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return ()


@dataclass(frozen=True, eq=False, kw_only=True)
class WithExponent(Learning):
    """Outputs: values in the shape of the first input, and int32 [1] of them all: of errors their exponent."""

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape, (1,))

    def normalized(self, sums: Int64, exponent: int) -> tuple[Array, ...]:
        """Sums times 2^exponent as errors: int16 within +-2^14, and the exponent that they then have."""
        more = exponent_of(sums)
        errors = rounded(sums, more).astype(np.int16).reshape(self.outputs[0].shape)
        return errors, np.array([exponent + more], np.int32)


@dataclass(frozen=True, eq=False, kw_only=True)
class RowUpdate(Learning):
    """Inputs: masters int32 [C, F], a row for each class; int32 [C], one of each row; x int8 of F elements."""

    @property
    def classes(self) -> int:
        return self.inputs[0].shape[0]

    @property
    def length(self) -> int:
        return self.inputs[0].shape[1]

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return self.inputs[2:3]

    @property
    def macs(self) -> int:
        return self.inputs[0].size
