"""READ_VARIABLE: the value of a variable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.movement.view import View
from driftc.codegen.tensor import Shape

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class ReadVariable(View):
    """Its input is the state's tensor, or what was assigned to it earlier in the same inference."""

    codes = ("READ_VARIABLE", "VAR_HANDLE", "CALL_ONCE")
    dtypes = ("int8", "int16", "int32")
    compared = "TFLite Micro"
    arithmetic = (
        "Bytes are copied; READ_VARIABLE costs nothing where the variable is not assigned before its value was used. "
        "VAR_HANDLE names a variable, and CALL_ONCE is run when compiling: what it assigns is the initial value."
    )

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        return cls(**node.common(node.input(0)))

    def stored(self) -> Stored:
        self.refuse("cannot be written to a .tflite file")

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape,)
