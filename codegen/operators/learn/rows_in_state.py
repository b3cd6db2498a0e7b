"""What decides among classes by a row for each that lies in the state."""

from __future__ import annotations

from dataclasses import dataclass

from driftc.codegen.operators.learn.base import Learning
from driftc.codegen.tensor import Shape, Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class RowsInState(Learning):
    """Inputs: x int8 of F elements; rows int8 [C, F]; int32 [C], one of each row. Output: int8 [1, C]."""

    @property
    def classes(self) -> int:
        return self.inputs[1].shape[0]

    @property
    def length(self) -> int:
        return self.inputs[1].shape[1]

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return (*self.inputs[:2], *self.outputs)

    @property
    def macs(self) -> int:
        return self.classes * self.length

    def infer(self) -> tuple[Shape, ...]:
        if self.inputs[0].size != self.length:
            self.refuse(f"{self.inputs[0].size} inputs are not one row of {self.length}")
        return ((1, self.classes),)
