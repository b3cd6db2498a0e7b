"""SPACE_TO_BATCH_ND: every block-th row and pixel of the padded input as an image of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.movement.move import Nest
from driftc.codegen.operators.movement.space_batch import SpaceBatch, blocks_of
from driftc.codegen.operators.quantised import require_quantised
from driftc.codegen.tensor import Array, Shape, Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class SpaceToBatchND(SpaceBatch):
    """`borders` are filled with the zero point."""

    codes = ("SPACE_TO_BATCH_ND",)
    arithmetic = (
        "Bytes are copied, the output's zero point around them, as in LiteRT. TFLite Micro pads with a byte that its "
        "kernel never sets: where there is padding, it is not compared."
    )
    options = "SpaceToBatchNDOptions"
    word = "paddings"

    @property
    def tflm_undefined(self) -> str:
        return "it pads SPACE_TO_BATCH_ND with a byte that it never sets" if self.fill is not None else ""

    @property
    def batched(self) -> Tensor:
        return self.outputs[0]

    @property
    def spatial(self) -> Tensor:
        return self.inputs[0]

    @property
    def fill(self) -> int | None:
        return self.outputs[0].zero_point if any(map(any, self.borders)) else None

    def infer(self) -> tuple[Shape, ...]:
        x = self.inputs[0].shape
        padded = [n + sum(pair) for n, pair in zip(x[1:-1], self.borders, strict=True)]
        if any(n % size for n, size in zip(padded, self.block, strict=True)):
            self.refuse(f"{padded} padded rows and pixels do not divide into blocks of {list(self.block)}")
        small = [n // size for n, size in zip(padded, self.block, strict=True)]
        return ((x[0] * int(np.prod(self.block)), *small, x[-1]),)

    def check(self) -> None:
        super().check()
        if self.outputs[0].dtype != np.int8:
            self.refuse(f"tensor '{self.outputs[0].label}' is {self.outputs[0].dtype.name}; driftc compiles int8 here")
        require_quantised(self, self.outputs[0])

    def nests(self) -> Sequence[Nest]:
        return self.copies(scatters=True)

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        x = np.asarray(inputs[0])
        padded = np.pad(x, [(0, 0), *self.borders, (0, 0)], constant_values=0 if self.is_float else self.fill or 0)
        split, order = blocks_of(padded.shape, self.block)
        return (padded.reshape(split).transpose(order).reshape(-1, *self.outputs[0].shape[1:]),)
