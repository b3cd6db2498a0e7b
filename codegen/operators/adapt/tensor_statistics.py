"""TENSOR_STATISTICS: sums and sums of squares of each channel of an int8 tensor, over its pixels.

What ADAPT_STATISTICS is given where a live normalisation reads a tensor that no layer with weights has just computed:
the model's input, the sum of two branches, what an activation gives. The bytes are counted as they are, the zero point
included: a variance does not see it, and the mean's constants hold it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from driftc.codegen.operators.adapt.live import statistics
from driftc.codegen.operators.base import Operator
from driftc.codegen.tensor import Array, Shape, Tensor

LARGEST_VALUE = 128
INT32, INT64 = np.dtype(np.int32), np.dtype(np.int64)


@dataclass(frozen=True, eq=False, kw_only=True)
class TensorStatistics(Operator):
    """Outputs: sums, int32, and squares, int64, both [channels]. With n pixels: |sums| <= 2^7 n, squares <= 2^14 n."""

    codes = ("TENSOR_STATISTICS",)
    in_files = False
    template = "tensor_statistics"
    compared: ClassVar[str] = "the specification alone; no reference adapts"
    arithmetic = (
        "Exact: int32 sums of the bytes, and of their squares, over at most 2^15 pixels: below 2^22 and 2^29. "
        "The squares leave as int64, as ADAPT_STATISTICS reads them."
    )

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return self.inputs

    def check(self) -> None:
        super().check()
        types = [tensor.dtype for tensor in self.outputs]
        if types != [INT32, INT64]:
            self.refuse(f"statistics are {' and '.join(kind.name for kind in types)}")

    @property
    def pixels(self) -> int:
        height, width, _ = self.inputs[0].hwc
        return height * width

    def infer(self) -> tuple[Shape, ...]:
        channels = self.inputs[0].hwc[2]
        return ((channels,), (channels,))

    def summary(self) -> str:
        return f"statistics of each channel over {self.pixels} pixels"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        sums, squares = statistics(np.asarray(inputs[0], np.int64))
        return sums.astype(np.int32), squares
