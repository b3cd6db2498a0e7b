"""REQUANTIZE: QUANTIZE between integers of which one is wider than a byte."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.arithmetic import Multiplier
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.quantised import requantiser, require_quantised
from driftc.codegen.tensor import Array, Shape, Tensor

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

PAIRS = (("int16", "int8"), ("int16", "int16"), ("int16", "int32"), ("int8", "int16"), ("int8", "int32"))


@dataclass(frozen=True, eq=False, kw_only=True)
class Requantize(Operator):
    """int16 to int8, int16 or int32, and int8 to int16 or int32. QUANTIZE in a file."""

    codes = ("REQUANTIZE",)
    in_files = False
    template = "requantize"
    compared = "TFLite Micro, as QUANTIZE"
    arithmetic = (
        "Multiplier float64(scale_in) / float64(scale_out) as Q0.31 and shift; double rounding; zero point; saturated."
    )

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        return cls(**node.common(node.input(0)))

    @classmethod
    def takes(cls, node: Node) -> bool:
        """Whether the types are those of this operator, and not of Quantize."""
        types = [tensor.dtype.name for tensor in (*node.inputs, *node.outputs) if tensor is not None]
        return tuple(types) in PAIRS

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape,)

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return ()

    def check(self) -> None:
        super().check()
        require_quantised(self, *self.inputs, *self.outputs)
        _ = self.multiplier

    @property
    def largest(self) -> int:
        """The magnitude of a value without its zero point."""
        low, high = self.inputs[0].limits
        return max(high - self.inputs[0].zero_point, self.inputs[0].zero_point - low)

    @cached_property
    def multiplier(self) -> Multiplier:
        return requantiser(self, np.float64(self.inputs[0].scale) / np.float64(self.outputs[0].scale), self.largest)

    def summary(self) -> str:
        return f"{self.inputs[0].dtype.name} to {self.outputs[0].dtype.name}"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        y = self.outputs[0]
        scaled = self.multiplier.apply(np.asarray(inputs[0], np.int64) - self.inputs[0].zero_point)
        return (np.clip(scaled + y.zero_point, *y.limits).astype(y.dtype),)
