"""SELECT_V2: out = a where the condition holds, else b."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.elementwise.broadcast import Broadcast
from driftc.codegen.operators.quantised import require_bool, require_same
from driftc.codegen.tensor import Array, Tensor

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class Select(Broadcast):
    """One of two int8 values, by a bool; all three broadcast. TFLite `reference/select.h`."""

    codes = ("SELECT_V2", "SELECT")
    template = "select"
    keeps_scale = True
    largest_rank = 5
    arithmetic = (
        "The raw value of one of the two inputs. Refused where they or the output are quantised differently, for "
        "TFLite Micro does not requantise here. SELECT: where all shapes are the same, or the condition is one value."
    )

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        node.require(len(node.inputs) == 3, f"has {len(node.inputs)} inputs, not 3")
        shapes = [node.input(position).shape for position in range(3)]
        if node.raw.code == "SELECT":
            node.require(
                shapes[1] == shapes[2] and (shapes[0] == shapes[1] or np.prod(shapes[0]) == 1),
                f"shapes {', '.join(str(list(shape)) for shape in shapes)}; SELECT takes three of one shape, or a "
                "condition of one value",
            )
        return cls(**node.common(node.input(0), node.input(1), node.input(2)))

    def stored(self) -> Stored:
        return Stored(self.inputs, "SelectV2Options", version=1)

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return (*self.inputs[1:], *self.outputs)

    def check(self) -> None:
        super().check()
        require_bool(self, self.inputs[0])
        for tensor in self.inputs[1:]:
            require_same(self, tensor, self.outputs[0])

    def check_float(self) -> None:
        self.infer()
        require_bool(self, self.inputs[0])

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (np.where(*inputs),)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (np.asarray(np.where(*inputs), np.float32),)
