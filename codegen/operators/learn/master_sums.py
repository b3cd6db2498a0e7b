"""MASTER_SUMS: the sums of a dense layer with the weights that its masters stand for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.learn.base import Learning
from driftc.codegen.operators.learn.trained_dense import LARGEST_BIAS
from driftc.codegen.tensor import Array, Shape, Tensor

FRACTION = 16  # bits of a master weight, int32, below one step of the int8 weight
NARROW_FRACTION = 8  # of one of int16
BIAS_FRACTION = 4  # bits of a master bias below one step of the accumulator
LARGEST_MASTER = 127 << FRACTION
LARGEST_BIAS_MASTER = LARGEST_BIAS << BIAS_FRACTION


def weights_of(masters: Array, fraction: int = FRACTION) -> Int64:
    """int8 steps, halves upwards."""
    return np.asarray((masters.astype(np.int64) + (1 << fraction - 1)) >> fraction, np.int64)


def fraction_of(masters: Tensor) -> int:
    """Bits of a master weight below one step of the int8 weight."""
    return FRACTION if masters.dtype == np.int32 else NARROW_FRACTION


def bias_of(masters: Int64) -> Int64:
    return np.asarray((masters + (1 << BIAS_FRACTION - 1)) >> BIAS_FRACTION, np.int64)


@dataclass(frozen=True, eq=False, kw_only=True)
class MasterSums(Learning):
    """Inputs: x int8 of F elements; masters int32 or int16 [C, F]; bias masters int32 [C]. Output: int32 [1, C]."""

    codes = ("MASTER_SUMS",)
    template = "master_sums"
    arithmetic = (
        "2^16 of a master weight, of int16 2^8, are a step of the int8 weight, and it is within +-127 of these; 2^4 of "
        "a master bias are a step of the accumulator, and it is within +-2^26 of these. Each is rounded, halves "
        "upwards, and then used as the weight that it is."
    )

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return self.inputs[:1]

    @property
    def macs(self) -> int:
        return self.inputs[1].size

    @property
    def fraction(self) -> int:
        return fraction_of(self.inputs[1])

    @property
    def zero_point(self) -> int:
        return self.inputs[0].zero_point

    def infer(self) -> tuple[Shape, ...]:
        return ((1, self.inputs[1].shape[0]),)

    def summary(self) -> str:
        return "sums of the layer that is learnt"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        x, masters, bias = (np.asarray(array, np.int64) for array in inputs)
        sums: NDArray[np.int64] = weights_of(masters, self.fraction) @ (x.reshape(-1) - self.zero_point) + bias_of(bias)
        return (sums.astype(np.int32).reshape(1, -1),)
