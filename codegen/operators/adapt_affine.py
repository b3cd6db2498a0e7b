"""ADAPT_AFFINE: out = clamp((multiplier[c] * in + offset[c]) / 2^16), rounding and zero point in the offset."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from driftc.codegen.graph import Shape, Tensor
from driftc.codegen.operators.base import Array, Box, Operator, Tiling, cut
from driftc.codegen.operators.walk import Walk, broadcast


@dataclass(frozen=True, eq=False, kw_only=True)
class AdaptAffine(Operator):
    """Inputs: int8 values before normalisation, int32 multiplier and offset (Q15.16) of each channel. In place."""

    codes = ("ADAPT_AFFINE",)
    in_files = False
    template = "adapt_affine"
    tiling = Tiling.ROWS | Tiling.CHANNELS
    compared: ClassVar[str] = "the specification alone; no reference adapts"
    arithmetic = (
        "int32: (multiplier * in + offset) >> 16, rounded down; the offset holds the half that makes it round to "
        "nearest, and the zero point. |multiplier| <= 2^22, |in| <= 2^7, |offset| <= 2^30, so the sum stays below "
        "2^31. Clamp to the layer's activation."
    )

    bounds: tuple[int, int]

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return (self.inputs[0], self.outputs[0])

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape,)

    def summary(self) -> str:
        return f"normalisation of this sample, clamped to {self.bounds[0]}..{self.bounds[1]}"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        values, multiplier, offset = (np.asarray(value, np.int64) for value in inputs)
        return (np.clip((values * multiplier + offset) >> 16, *self.bounds).astype(np.int8),)

    def walk(self, backward: bool = False) -> Walk | None:
        return broadcast(self.outputs[0].shape, [tensor.shape for tensor in self.inputs])

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        channels = Box(0, 1, box.channel0, box.channel1)
        return (box, channels, channels)

    def part(self, box: Box, reduce: range | None = None) -> Self:
        if reduce is not None:
            raise ValueError(f"{self.name}: has no sum to split")
        channels = box.channel1 - box.channel0
        values, *rest = self.inputs
        return replace(
            self,
            inputs=(cut(values, box), *(replace(tensor, shape=(channels,)) for tensor in rest)),
            outputs=(cut(self.outputs[0], box),),
        )
