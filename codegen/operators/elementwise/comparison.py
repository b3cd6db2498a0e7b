"""Shared by EQUAL, NOT_EQUAL, GREATER, GREATER_EQUAL, LESS and LESS_EQUAL: two tensors, one of bool."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from driftc.codegen.arithmetic import Int64, Multiplier
from driftc.codegen.operators.base import Stored, as_int64
from driftc.codegen.operators.elementwise.broadcast import Broadcast
from driftc.codegen.operators.quantised import requantiser, require_quantised
from driftc.codegen.tensor import Array, Tensor

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

EXTRA_BITS = 8
ARITHMETIC = (
    "int8: both inputs without zero point, shifted left by 8, times their scale (which must be below 1) as Q0.31 and "
    "shift, double rounding; the results are compared. Where both are quantised alike and no two values become one, "
    "the C compares raw bytes. int32: as they are."
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison(Broadcast):
    """out[i] = a[i] ? b[i], one byte of 0 or 1: TFLite `reference/comparisons.h`."""

    template = "compare"
    largest_rank = 4
    kinds: ClassVar[tuple[type, ...]] = (np.int8, np.int32)
    options: ClassVar[str]
    ufunc: ClassVar[np.ufunc]
    sign: ClassVar[str]  # in C

    extra_bits = EXTRA_BITS

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        node.require(len(node.inputs) == 2, f"has {len(node.inputs)} inputs, not 2")
        return cls(**node.common(node.input(0), node.input(1)))

    def stored(self) -> Stored:
        return Stored(self.inputs, self.options)

    @property
    def is_float(self) -> bool:
        return all(tensor.dtype == np.float32 for tensor in self.inputs)

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return ()

    def check(self) -> None:
        super().check()
        kind = self.inputs[0].dtype
        if kind not in self.kinds or self.inputs[1].dtype != kind or self.outputs[0].dtype != np.bool_:
            a, b, y = (tensor.dtype.name for tensor in (*self.inputs, *self.outputs))
            names = " or ".join(np.dtype(known).name for known in self.kinds)
            self.refuse(f"makes {y} of {a} and {b}; driftc compares two tensors of {names} and gives bool")
        if kind == np.int8:
            require_quantised(self, *self.inputs)
            _ = self.multipliers

    def check_float(self) -> None:
        self.infer()

    @cached_property
    def multipliers(self) -> tuple[Multiplier, Multiplier]:
        """The scales of int8 inputs."""
        for tensor in self.inputs:
            if not tensor.scale < 1:
                self.refuse(f"tensor '{tensor.label}': scale {tensor.scale:g} is not below 1, as TFLite Micro needs it")
        a, b = (requantiser(self, tensor.scale, 255 << EXTRA_BITS) for tensor in self.inputs)
        return a, b

    def scaled(self, position: int, x: Int64) -> Int64:
        """What of raw values `x` of an input is compared."""
        if self.inputs[position].dtype != np.int8:
            return x
        return self.multipliers[position].apply((x - self.inputs[position].zero_point) << EXTRA_BITS)

    @cached_property
    def raw(self) -> bool:
        """Comparing raw values gives the same."""
        a, b = self.inputs
        if a.dtype != np.int8:
            return True
        alike = a.quantization is not None and a.quantization.same_as(b.quantization)
        return alike and bool((np.diff(self.scaled(0, np.arange(-128, 128, dtype=np.int64))) > 0).all())

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        a, b = as_int64(inputs)
        return (np.asarray(self.ufunc(self.scaled(0, a), self.scaled(1, b)), np.bool_),)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (np.asarray(self.ufunc(*inputs), np.bool_),)
