"""SLICE: a range of indices on each axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.movement.move import Indices
from driftc.codegen.operators.movement.selection import Selection

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

LARGEST_RANK = 5


@dataclass(frozen=True, eq=False, kw_only=True)
class Slice(Selection):
    """`sizes` indices from `begin` on, both constant; in a file -1 as a size means all that are left."""

    codes = ("SLICE",)
    arithmetic = "Bytes are copied."

    begin: tuple[int, ...]
    sizes: tuple[int, ...]

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        x, begin, sizes = node.input(0), node.integers(1), node.integers(2)
        rank = len(x.shape)
        node.require(1 <= rank <= LARGEST_RANK, f"needs 1 to {LARGEST_RANK} axes, not shape {list(x.shape)}")
        node.require(
            len(begin) == len(sizes) == rank, f"has {len(begin)} begins and {len(sizes)} sizes for {rank} axes"
        )
        counts = []
        for axis, (first, size, extent) in enumerate(zip(begin, sizes, x.shape, strict=True)):
            count = extent - first if size == -1 else size
            node.require(
                first >= 0 and 0 < count <= extent - first,
                f"takes {size} indices from {first} on, of the {extent} of axis {axis}",
            )
            counts.append(count)
        return cls(**node.common(x), begin=begin, sizes=tuple(counts))

    def stored(self) -> Stored:
        return Stored(
            (*self.inputs, *(np.array(values, np.int32) for values in (self.begin, self.sizes))), "SliceOptions"
        )

    def taken(self) -> tuple[Indices, ...]:
        return tuple(first + np.arange(size) for first, size in zip(self.begin, self.sizes, strict=True))
