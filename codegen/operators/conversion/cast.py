"""CAST: the raw values as another type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.elementwise.broadcast import Broadcast
from driftc.codegen.tensor import Array, Tensor

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

DTYPES = ("int8", "int32", "bool")


@dataclass(frozen=True, eq=False, kw_only=True)
class Cast(Broadcast):
    """Between int8, int32 and bool; scales are not looked at, nor are they by TFLite."""

    codes = ("CAST",)
    template = "cast"
    arithmetic = (
        "Integers keep their lowest 8 bits as int8; any value but 0 is true; true is 1. Scales are not looked at."
    )

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        return cls(**node.common(node.input(0)))

    def stored(self) -> Stored:
        return Stored(self.inputs, "CastOptions", version=1)

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return ()

    def check(self) -> None:
        super().check()
        for tensor in (*self.inputs, *self.outputs):
            if tensor.dtype.name not in DTYPES:
                self.refuse(f"tensor '{tensor.label}' is {tensor.dtype.name}; driftc casts between {', '.join(DTYPES)}")

    def summary(self) -> str:
        return f"{self.inputs[0].dtype.name} as {self.outputs[0].dtype.name}"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (np.asarray(inputs[0]).astype(self.outputs[0].dtype),)
