"""GATHER_ND: out[i] = table[indices[i, 0], indices[i, 1], ...]."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.operators.base import Operator, Stored
from driftc.codegen.operators.movement.move import dense
from driftc.codegen.operators.quantised import require_same
from driftc.codegen.tensor import Array, Shape, Tensor

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

MOST_INDICES = 5


@dataclass(frozen=True, eq=False, kw_only=True)
class GatherND(Operator):
    """Slices of the table (inputs[0]) by int32 indices (inputs[1]), whose last axis goes along its first ones."""

    codes = ("GATHER_ND",)
    template = "gather_nd"
    keeps_scale = True
    arithmetic = (
        "Bytes are copied; the table and the output are quantised alike. An index below 0 counts as 0, one beyond its "
        "axis as the last; TFLite Micro does not look."
    )

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        table, indices = node.input(0), node.input(1)
        node.require(len(indices.shape) >= 1, f"indices '{indices.label}' need an axis")
        count = indices.shape[-1]
        node.require(
            1 <= count <= min(MOST_INDICES, len(table.shape)),
            f"has {count} indices for each slice of a table of {len(table.shape)} axes; TFLite Micro takes 1 to "
            f"{MOST_INDICES}",
        )
        return cls(**node.common(table, indices))

    def stored(self) -> Stored:
        return Stored(self.inputs, "GatherNdOptions", version=1)

    @property
    def table(self) -> Tensor:
        return self.inputs[0]

    @property
    def indices(self) -> Tensor:
        return self.inputs[1]

    @property
    def extents(self) -> tuple[int, ...]:
        """Of the axes that the indices go along."""
        return self.table.shape[: self.indices.shape[-1]]

    @property
    def entries(self) -> int:
        """Below which every index is in the table, on whatever axis."""
        return min(self.extents)

    @property
    def steps(self) -> tuple[int, ...]:
        """Elements from one index to the next, on each of them."""
        return dense(self.table.shape)[: len(self.extents)]

    @property
    def slices(self) -> tuple[int, int]:
        """How many, and of how many elements."""
        return prod(self.indices.shape[:-1]), prod(self.table.shape[len(self.extents) :])

    def infer(self) -> tuple[Shape, ...]:
        return ((*self.indices.shape[:-1], *self.table.shape[len(self.extents) :]),)

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return (self.table, *self.outputs)

    def check(self) -> None:
        super().check()
        if self.indices.dtype != np.int32:
            self.refuse(f"indices '{self.indices.label}' must be int32, not {self.indices.dtype.name}")
        require_same(self, self.table, self.outputs[0])

    def summary(self) -> str:
        return f"look-up by {len(self.extents)} indices"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        where = np.clip(np.asarray(inputs[1], np.int64), 0, np.array(self.extents) - 1)
        found = np.asarray(inputs[0])[tuple(np.moveaxis(where, -1, 0))]
        return (found.reshape(self.outputs[0].shape),)
