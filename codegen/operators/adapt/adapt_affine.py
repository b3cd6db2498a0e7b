"""ADAPT_AFFINE: out = clamp((multiplier[c] * in / 2^shift[c] + offset[c]) / 2^17); the offset holds the zero point."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.operators.adapt.adapt_kernel import OUTPUT_FRACTION
from driftc.codegen.operators.adapt.live import PRECISIONS
from driftc.codegen.operators.base import Box, Operator, Tiling, cut
from driftc.codegen.tensor import Array, Shape, Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class AdaptAffine(Operator):
    """Inputs: values before normalisation (int8, int16 or int32), int32 multiplier and offset (Q14.17) of each channel.

    `shift`, int8 [channels]: the multiplier is of 2^shift of the values. None with int8. In place.
    """

    codes = ("ADAPT_AFFINE",)
    in_files = False
    template = "adapt_affine"
    tiling = Tiling.ROWS | Tiling.CHANNELS
    compared: ClassVar[str] = "the specification alone; no reference adapts"
    arithmetic = (
        "int32: (multiplier * in + offset) >> 17, rounded down; the offset holds the half that makes it round to "
        "nearest, and the zero point. 0 <= multiplier <= 2^23, -2^7 <= in < 2^7, |offset| <= 2^30, so the sum "
        "is int32. Clamp to the layer's activation. Values in int16 or int32 (--adapt-precision): 55-bit product, "
        "shifted down by 1 to 31, the offset added in 64 bits."
    )

    bounds: tuple[int, int]
    shift: NDArray[np.int8] | None = field(default=None, repr=False)

    def check(self) -> None:
        super().check()
        kind = self.inputs[0].dtype.name
        if kind not in PRECISIONS or (self.shift is None) != (kind == "int8"):
            self.refuse(f"values before normalisation are {kind}")
        if self.shift is not None and (self.shift.min() < 0 or self.shift.max() > 31):
            self.refuse("its shifts leave the ranges that the fixed-point arithmetic is made for")

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return self.outputs

    @property
    def one_shift(self) -> int | None:
        """The shift of every channel, where they have one."""
        return None if self.shift is None or np.ptp(self.shift) > 0 else int(self.shift[0])

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape,)

    def summary(self) -> str:
        return f"normalisation of this sample, clamped to {self.bounds[0]}..{self.bounds[1]}"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        values, multiplier, offset = (np.asarray(value, np.int64) for value in inputs)
        product = values * multiplier if self.shift is None else values * multiplier >> self.shift.astype(np.int64)
        return (np.clip((product + offset) >> OUTPUT_FRACTION, *self.bounds).astype(np.int8),)

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
            shift=None if self.shift is None else self.shift[box.channel0 : box.channel1],
        )
