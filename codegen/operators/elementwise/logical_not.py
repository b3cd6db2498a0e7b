"""LOGICAL_NOT: out = !in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.elementwise.broadcast import Broadcast
from driftc.codegen.operators.quantised import require_bool
from driftc.codegen.tensor import Array, Tensor

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class LogicalNot(Broadcast):
    """The opposite of each truth value."""

    codes = ("LOGICAL_NOT",)
    template = "logical_not"
    arithmetic = "bool, one byte of 0 or 1 each; on the way in any byte but 0 is true."

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        return cls(**node.common(node.input(0)))

    def stored(self) -> Stored:
        return Stored(self.inputs, "LogicalNotOptions", version=1)

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return ()

    def check(self) -> None:
        super().check()
        require_bool(self, *self.inputs, *self.outputs)

    def check_float(self) -> None:
        self.check()

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (np.logical_not(inputs[0]),)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        return self.spec(*inputs)
