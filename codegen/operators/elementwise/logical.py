"""Shared by LOGICAL_AND and LOGICAL_OR: two bool tensors, one byte of 0 or 1 an element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.elementwise.broadcast import Broadcast
from driftc.codegen.operators.quantised import require_bool
from driftc.codegen.tensor import Array, Tensor

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class Logical(Broadcast):
    """out[i] = a[i] ? b[i]; bytes other than 0 are true: TFLite `reference/logical`."""

    template = "logical"
    largest_rank = 4
    options: ClassVar[str]
    ufunc: ClassVar[np.ufunc]
    sign: ClassVar[str]  # in C

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        node.require(len(node.inputs) == 2, f"has {len(node.inputs)} inputs, not 2")
        return cls(**node.common(node.input(0), node.input(1)))

    def stored(self) -> Stored:
        return Stored(self.inputs, self.options, version=1)

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return ()

    def check(self) -> None:
        super().check()
        require_bool(self, *self.inputs, *self.outputs)

    def check_float(self) -> None:
        self.check()

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (np.asarray(self.ufunc(*inputs), np.bool_),)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        return self.spec(*inputs)
