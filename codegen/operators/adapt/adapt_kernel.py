"""What makes a multiplier and an offset of each channel from the sums and squares of this sample alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.base import Box, Operator, Tiling
from driftc.codegen.tensor import Shape, Tensor

LIMIT = 1 << 30  # of the offset, and of what moves a mean
LARGEST_MULTIPLIER = 1 << 23
OUTPUT_FRACTION = 17  # of multiplier and offset


@dataclass(frozen=True, eq=False, kw_only=True)
class AdaptKernel(Operator):
    """Inputs: sums S (int32 or int64) and squares Q (int64) over n pixels, and what is said of all channels together.

    Outputs: int32, both Q14.17. Nothing is kept from one sample to the next. `table` has a row for each channel.
    """

    in_files = False
    tiling = Tiling.CHANNELS
    per_channel = True
    compared: ClassVar[str] = "the specification alone; no reference adapts"
    reads_all: ClassVar[bool] = False  # the third input is needed until the last channel is done

    pixels: int
    table: NDArray[np.int16 | np.int32] = field(repr=False)  # [channels, columns]
    shift: int  # of the gains, 1 to 61
    largest_sum: int  # no |S| is larger

    @property
    def columns(self) -> tuple[str, ...]:
        raise NotImplementedError

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return ()

    def column(self, name: str) -> Int64:
        return self.table[:, self.columns.index(name)].astype(np.int64)

    def fits(self, dtype: type) -> bool:
        """The table is as wide as it should be, and no product of a sum and a gain leaves int64."""
        if self.table.dtype != dtype or self.table.shape != (self.inputs[0].size, len(self.columns)):
            return False
        return self.largest_moved < 2**62 and 1 <= self.shift <= 61

    @property
    def largest_moved(self) -> int:
        return self.largest_sum * int(np.abs(self.column("gain")).max(initial=0))

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape, self.inputs[0].shape)

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        return (box, box, *(Box(0, 1, 0, tensor.size) for tensor in self.inputs[2:]))

    def part(self, box: Box, reduce: range | None = None) -> Self:
        if reduce is not None:
            raise ValueError(f"{self.name}: has no sum to split")
        channels = slice(box.channel0, box.channel1)
        inputs, outputs = (
            tuple(replace(tensor, shape=(box.channel1 - box.channel0,)) for tensor in tensors)
            for tensors in (self.inputs[:2], self.outputs)
        )
        return replace(self, inputs=(*inputs, *self.inputs[2:]), outputs=outputs, table=self.table[channels])

    def summary(self) -> str:
        return f"multiplier and offset of each channel from its statistics over {self.pixels} pixels"


def spread(sums: Int64, squares: Int64, pixels: int) -> Int64:
    """squares - sums^2 / pixels, rounded up: `pixels` times the variance. Truncating division, as C has it."""
    mean = np.sign(sums) * (np.abs(sums) // pixels)
    rest = sums - mean * pixels
    return np.asarray(squares - mean * (sums + rest) - rest * rest // pixels, np.int64)
