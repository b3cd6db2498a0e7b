"""QUANTIZE: float32 to int8 at the model's border, or bytes to bytes of another scale, zero point or sign."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.arithmetic import Int64, Multiplier, round_half_away
from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.conversion.requantize import Requantize
from driftc.codegen.operators.elementwise.lookup import Lookup
from driftc.codegen.operators.quantised import requantiser, require_finite, require_quantised
from driftc.codegen.tensor import Array, Tensor

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class Quantize(Lookup):
    """Values to the output's scale and zero point. Bytes are int8; uint8 on one side, at the model's border."""

    codes = ("QUANTIZE",)
    through_reals: bool = False  # of bytes: what DEQUANTIZE before it gives, which `islands` took away
    compared = "TFLite Micro; LiteRT (bytes to bytes)"
    arithmetic = (
        "int8 and uint8: multiplier float64(scale_in) / float64(scale_out) as Q0.31 and shift; double rounding; zero "
        "point; saturated; in C a table of 256, or the top bit flipped where nothing else changes. float32, at the "
        "border only: float32(x / scale) rounded, halves away from zero; zero point; "
        "saturated, also beyond int32 (where TFLite Micro's cast is undefined); NaN becomes the zero "
        "point. int8 that the file turns into float32 and back around what only moves it: DEQUANTIZE, then this, as a "
        "table of 256."
    )

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        if Requantize.takes(node):
            return Requantize.from_tflite(node)  # type: ignore[return-value]
        return super().from_tflite(node)

    def stored(self) -> Stored:
        return Stored(self.inputs, "QuantizeOptions", version=1 if self.real else 2)

    @property
    def real(self) -> bool:
        """True where the input is float32."""
        return self.inputs[0].dtype == np.float32

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        """Without what is uint8, unless all is."""
        return tuple(t for t in (*self.inputs, *self.outputs) if t.dtype != np.uint8) or self.inputs

    @property
    def flips(self) -> bool:
        """The same real values in int8 and uint8: bytes that differ in the top bit."""
        x, y = self.inputs[0], self.outputs[0]
        if self.real or self.through_reals or x.dtype == y.dtype:
            return False
        return x.scale == y.scale and y.zero_point - y.limits[0] == x.zero_point - x.limits[0]

    @cached_property
    def multiplier(self) -> Multiplier:
        return requantiser(self, self.inputs[0].scale / self.outputs[0].scale, 255)

    def check(self) -> None:
        if not self.real:
            super().check()
            if not self.through_reals:
                _ = self.multiplier
            elif self._most_steps >= 2**31 - 256:
                self.refuse("makes steps that no int32 holds, which TFLite Micro leaves undefined; check the scales")
            return
        (shape,) = self.infer()
        if self.outputs[0].shape != shape:
            self.refuse(f"gives shape {list(shape)}, but the file says {list(self.outputs[0].shape)}")
        if self.outputs[0].dtype != np.int8:
            self.refuse(f"gives {self.outputs[0].dtype.name}; driftc compiles int8 here")
        require_quantised(self, self.outputs[0])
        require_finite(self, self.outputs[0])

    def check_float(self) -> None:
        """Of float32 it makes bytes, which `check` holds to what is computed."""
        self.refuse("gives float32; driftc compiles int8 here")

    @property
    def _most_steps(self) -> float:
        """The most of the output's scale that an input byte stands for."""
        x = self.inputs[0]
        most = max(abs(limit - x.zero_point) for limit in x.limits)
        return most * float(x.scale) / float(self.outputs[0].scale)

    def function(self, x: Int64) -> Int64:
        if self.through_reals:
            with np.errstate(over="ignore"):
                steps = (x - self.inputs[0].zero_point).astype(np.float32)
                return nearest(np.float32(self.inputs[0].scale) * steps, self.outputs[0])
        return self.multiplier.apply(x - self.inputs[0].zero_point) + self.outputs[0].zero_point

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        if not self.real:
            return super().spec(*inputs)
        return (np.clip(nearest(np.asarray(inputs[0], np.float32), self.outputs[0]), -128, 127).astype(np.int8),)


def nearest(x: Array, tensor: Tensor) -> Int64:
    """The raw values of float32 `x` in `tensor`, before they saturate."""
    with np.errstate(over="ignore", invalid="ignore"):
        steps = x / np.float32(tensor.scale)
    bounded = np.clip(np.nan_to_num(steps.astype(np.float64), nan=0.0), -512, 512)
    return np.asarray(round_half_away(bounded), np.int64) + tensor.zero_point
