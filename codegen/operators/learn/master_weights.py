"""MASTER_WEIGHTS: the weights and the bias that masters stand for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.learn.base import Learning
from driftc.codegen.operators.learn.master_sums import bias_of, fraction_of, weights_of
from driftc.codegen.tensor import Array, Shape, Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class MasterWeights(Learning):
    """Inputs: masters int32 or int16, bias masters int32. Outputs: weights int8 and bias int32, in the same shapes."""

    codes = ("MASTER_WEIGHTS",)
    template = "master_weights"
    arithmetic = (
        "As in MASTER_SUMS: a weight is its master / 2^16, of int16 / 2^8, a bias its own / 2^4, halves upwards."
    )

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return self.outputs[:1]

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape, self.inputs[1].shape)

    @property
    def fraction(self) -> int:
        return fraction_of(self.inputs[0])

    def summary(self) -> str:
        return "weights of the layer that is learnt"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        masters, bias = (np.asarray(array, np.int64) for array in inputs)
        return weights_of(masters, self.fraction).astype(np.int8), bias_of(bias).astype(np.int32)
