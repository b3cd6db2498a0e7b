"""COMPOSED: several maps of one byte to another, one after the other, in one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.elementwise.lookup import Lookup
from driftc.codegen.tensor import Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Composed(Lookup):
    """`steps`, the first on the input; made by the pass `compose`."""

    codes = ("COMPOSED",)
    in_files = False
    compared: ClassVar[str] = "the operators that it stands for"
    arithmetic = "As the operators that it stands for. A table of 256 in C."

    steps: tuple[Lookup, ...]

    @property
    def kind(self) -> str:
        return self.steps[-1].kind

    def function(self, x: Int64) -> Int64:
        for step in self.steps:
            x = step.values(x).astype(np.int64)
        return x

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        """None: what is uint8 at the model's border may be part of it."""
        return ()

    def summary(self) -> str:
        return f"table of {', '.join(step.summary() for step in self.steps)}"
