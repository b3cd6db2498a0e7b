"""BATCH_TO_SPACE_ND: images whose rows and pixels are every block-th of the output, before it is cropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.movement.move import Nest
from driftc.codegen.operators.movement.space_batch import SpaceBatch, blocks_of
from driftc.codegen.tensor import Array, Shape, Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class BatchToSpaceND(SpaceBatch):
    """`borders` are cropped."""

    codes = ("BATCH_TO_SPACE_ND",)
    options = "BatchToSpaceNDOptions"
    word = "crops"

    @property
    def batched(self) -> Tensor:
        return self.inputs[0]

    @property
    def spatial(self) -> Tensor:
        return self.outputs[0]

    def infer(self) -> tuple[Shape, ...]:
        x, count = self.inputs[0].shape, int(np.prod(self.block))
        sizes = zip(x[1:-1], self.block, self.borders, strict=True)
        large = [n * size - sum(pair) for n, size, pair in sizes]
        if x[0] % count or min(large) < 1:
            self.refuse(f"cannot make images of {list(x)} in blocks of {list(self.block)}, cropped by {self.borders}")
        return ((x[0] // count, *large, x[-1]),)

    def nests(self) -> Sequence[Nest]:
        return self.copies(scatters=False)

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        x = np.asarray(inputs[0])
        whole = [n * size for n, size in zip(x.shape[1:-1], self.block, strict=True)]
        shape = (x.shape[0] // int(np.prod(self.block)), *whole, x.shape[-1])
        split, order = blocks_of(shape, self.block)
        large = x.reshape([split[axis] for axis in order]).transpose(np.argsort(order)).reshape(shape)
        kept = [slice(before, size - after) for size, (before, after) in zip(whole, self.borders, strict=True)]
        return (np.ascontiguousarray(large[:, *kept]),)
