"""Shared by functions that TFLite Micro and LiteRT compute in float32 alone: between DEQUANTIZE and QUANTIZE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.conversion.quantize import nearest
from driftc.codegen.operators.elementwise.lookup import Lookup

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

ARITHMETIC = (
    "float32, between DEQUANTIZE and QUANTIZE as converters leave it in int8 models: {}; the three become one table of "
    "256 in C. Refused in int8, which TFLite Micro does not compute."
)


@dataclass(frozen=True, eq=False, kw_only=True)
class FloatOnly(Lookup):
    """out[i] = QUANTIZE(on_reals(DEQUANTIZE(in[i]))) on int8 tensors, which no file has: it holds all three."""

    compared = "TFLite Micro (float32)"
    options: ClassVar[str] = ""

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        made = super().from_tflite(node)
        node.require(
            made.is_float,
            "TFLite Micro does not compute it in int8; driftc makes a table of it where DEQUANTIZE is before it and "
            "QUANTIZE behind it",
        )
        return made

    def stored(self) -> Stored:
        return Stored(self.inputs, self.options, version=1, real=True)

    def function(self, x: Int64) -> Int64:
        with np.errstate(all="ignore"):
            reals = np.float32(self.inputs[0].scale) * (x - self.inputs[0].zero_point).astype(np.float32)
            return nearest(np.asarray(self.on_reals(reals), np.float32), self.outputs[0])
