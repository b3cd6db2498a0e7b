"""TABLE: what DEQUANTIZE, functions of one float32 value and QUANTIZE do together."""

from __future__ import annotations

from dataclasses import dataclass

from driftc.codegen.operators.elementwise.float_only import FloatOnly
from driftc.codegen.operators.elementwise.lookup import Lookup
from driftc.codegen.tensor import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Table(FloatOnly):
    """`functions` of float32, one after the other, on int8 tensors."""

    codes = ("TABLE",)
    in_files = False
    arithmetic = "As the float32 operators that it stands for. A table of 256 in C."

    functions: tuple[Lookup, ...]

    @property
    def kind(self) -> str:
        return self.functions[-1].kind

    def on_reals(self, x: Array) -> Array:
        for function in self.functions:
            x = function.on_reals(x)
        return x

    def summary(self) -> str:
        return f"table of {', '.join(function.summary() for function in self.functions)}"
