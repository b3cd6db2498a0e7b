"""INPUT_ROWS: the model's input, row by row as it arrives from the caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from driftc.codegen.operators.base import Operator, Tiling
from driftc.codegen.tensor import Shape


@dataclass(frozen=True, eq=False, kw_only=True)
class RowInput(Operator):
    """Reads nothing and gives the input: only where a Plan is fed by rows. The row is copied as it is."""

    codes = ("INPUT_ROWS",)
    in_files = False
    tiling = Tiling.ROWS
    compared: ClassVar[str] = "nothing: it computes nothing"
    arithmetic = "None: each row is copied as it arrives."

    @property
    def int8_tensors(self) -> tuple[()]:
        return ()

    def infer(self) -> tuple[Shape, ...]:
        return (self.outputs[0].shape,)
