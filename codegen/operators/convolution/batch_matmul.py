"""BATCH_MATMUL: out[b] = requantise((left[b] - zero) x (right[b] - zero)), either transposed, batches broadcast."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.arithmetic import INT32_MAX, Multiplier
from driftc.codegen.operators.base import Operator, Stored
from driftc.codegen.operators.elementwise.broadcast import largest_product
from driftc.codegen.operators.quantised import requantiser, require_quantised
from driftc.codegen.tensor import Array, Shape

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

LARGEST_RANK = 5


@dataclass(frozen=True, eq=False, kw_only=True)
class BatchMatmul(Operator):
    """Products of matrices that are both computed, or of which one is constant: TFLite `reference/batch_matmul.h`."""

    codes = ("BATCH_MATMUL",)
    template = "batch_matmul"
    arithmetic = (
        "int32 sum of products without zero points; multiplier float64(scale_left) * float64(scale_right) / "
        "float64(scale_out) as Q0.31 and shift; double rounding; zero point; saturated. Refused where it can overflow "
        "int32."
    )

    adj_x: bool = False
    adj_y: bool = False

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        node.require(len(node.inputs) == 2, f"has {len(node.inputs)} inputs, not 2")
        options = node.options("BatchMatMulOptions")
        return cls(**node.common(node.input(0), node.input(1)), adj_x=bool(options.AdjX()), adj_y=bool(options.AdjY()))

    def stored(self) -> Stored:
        return Stored(self.inputs, "BatchMatMulOptions", {"AdjX": self.adj_x, "AdjY": self.adj_y})

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Rows of the result, its columns, and how many products make one value."""
        a, b = (tensor.shape for tensor in self.inputs)
        rows, depth = (a[-1], a[-2]) if self.adj_x else (a[-2], a[-1])
        return rows, b[-2] if self.adj_y else b[-1], depth

    @property
    def batch(self) -> Shape:
        """The leading axes of the result."""
        return np.broadcast_shapes(*(tensor.shape[:-2] for tensor in self.inputs))

    @property
    def macs(self) -> int:
        return prod(self.batch) * prod(self.sizes)

    def infer(self) -> tuple[Shape, ...]:
        a, b = (tensor.shape for tensor in self.inputs)
        if not 2 <= min(len(a), len(b)) <= max(len(a), len(b)) <= LARGEST_RANK:
            self.refuse(f"shapes {list(a)} and {list(b)}: TFLite Micro takes 2 to {LARGEST_RANK} axes")
        rows, columns, depth = self.sizes
        try:
            batch = self.batch
        except ValueError:
            batch = None
        if batch is None or depth != (b[-1] if self.adj_y else b[-2]):
            self.refuse(f"shapes {list(a)} and {list(b)} do not fit each other")
        return ((*batch, rows, columns),)

    @cached_property
    def multiplier(self) -> Multiplier:
        a, b, result = (tensor.scale for tensor in (*self.inputs, *self.outputs))
        return requantiser(self, a * b / result, min(self.largest, INT32_MAX))

    @property
    def largest(self) -> int:
        """The largest magnitude of a sum."""
        return largest_product(*self.inputs) * self.sizes[2]

    def check(self) -> None:
        super().check()
        require_quantised(self, *self.inputs, *self.outputs)
        if self.largest > INT32_MAX:
            self.refuse(f"adds up {self.sizes[2]} products, whose sum can overflow int32")
        _ = self.multiplier

    def summary(self) -> str:
        rows, columns, depth = self.sizes
        return f"matrix product, {rows} x {depth} by {depth} x {columns}"

    def product(self, a: Array, b: Array) -> Array:
        """Of matrices as they are stored."""
        left = np.swapaxes(a, -1, -2) if self.adj_x else a
        return np.asarray(np.matmul(left, np.swapaxes(b, -1, -2) if self.adj_y else b))

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        pairs = zip(inputs, self.inputs, strict=True)
        a, b = (np.asarray(value, np.int64) - tensor.zero_point for value, tensor in pairs)
        result = self.multiplier.apply(self.product(a, b)) + self.outputs[0].zero_point
        return (np.clip(result, -128, 127).astype(np.int8),)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (np.asarray(self.product(*inputs), np.float32),)
