"""TILE: the input several times over on each axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.movement.move import Indices
from driftc.codegen.operators.movement.selection import Selection

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class Tile(Selection):
    """`multiples`: how often, on each axis."""

    codes = ("TILE",)
    arithmetic = "Bytes are copied. TFLite Micro has no such kernel."
    compared = "LiteRT"

    multiples: tuple[int, ...]

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        x, multiples = node.input(0), node.integers(1)
        node.require(
            len(multiples) == len(x.shape) and all(0 < n < 1 << 15 for n in multiples),
            f"repeats {list(multiples)} times an input of shape {list(x.shape)}",
        )
        return cls(**node.common(x), multiples=multiples)

    def stored(self) -> Stored:
        return Stored((*self.inputs, np.array(self.multiples, np.int32)), "TileOptions", version=1)

    def taken(self) -> tuple[Indices, ...]:
        pairs = zip(self.inputs[0].shape, self.multiples, strict=True)
        return tuple(np.tile(np.arange(extent), count) for extent, count in pairs)
