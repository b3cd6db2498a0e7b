"""DEQUANTIZE: int8 to float32, at the model's border."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.operators.base import Operator, Stored
from driftc.codegen.operators.quantised import require_finite, require_quantised
from driftc.codegen.tensor import Array, Shape

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class Dequantize(Operator):
    """out = scale * (in - zero_in)."""

    codes = ("DEQUANTIZE",)
    template = "dequantize"
    compared = "TFLite Micro"
    arithmetic = "float32(scale_in) * float32(in - zero_in), one float32 multiplication. At the border only."

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        return cls(**node.common(node.input(0)))

    def stored(self) -> Stored:
        return Stored(self.inputs, "DequantizeOptions")

    @property
    def is_float(self) -> bool:
        return False  # belongs to an int8 model's border

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape,)

    def check(self) -> None:
        x, y = self.inputs[0], self.outputs[0]
        if y.shape != x.shape:
            self.refuse(f"gives shape {list(x.shape)}, but the file says {list(y.shape)}")
        if x.dtype != np.int8 or y.dtype != np.float32:
            self.refuse(f"turns {x.dtype.name} into {y.dtype.name}; driftc compiles int8 to float32 here")
        require_quantised(self, x)
        require_finite(self, x)

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        steps = np.asarray(inputs[0], np.int32) - self.inputs[0].zero_point
        with np.errstate(over="ignore"):
            return (np.float32(self.inputs[0].scale) * steps.astype(np.float32),)
