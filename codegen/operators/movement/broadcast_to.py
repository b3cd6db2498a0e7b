"""BROADCAST_TO: the input repeated along the axes where its extent is 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.movement.move import Indices
from driftc.codegen.operators.movement.selection import Selection
from driftc.codegen.tensor import Shape

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

LARGEST_RANK = 8


@dataclass(frozen=True, eq=False, kw_only=True)
class BroadcastTo(Selection):
    """Axes that the input lacks come first."""

    codes = ("BROADCAST_TO",)
    arithmetic = "Bytes are copied."
    compared = "TFLite Micro (to five axes); LiteRT"

    shape: Shape

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        x, shape = node.input(0), node.integers(1)
        node.require(len(shape) <= LARGEST_RANK, f"gives {len(shape)} axes; driftc goes up to {LARGEST_RANK}")
        short = len(shape) - len(x.shape)
        fits = short >= 0 and all(n in (1, out) for n, out in zip(x.shape, shape[short:], strict=True))
        node.require(fits and min(shape, default=1) > 0, f"cannot spread shape {list(x.shape)} to {list(shape)}")
        return cls(**node.common(x), shape=shape)

    def stored(self) -> Stored:
        return Stored((*self.inputs, np.array(self.shape, np.int32)), "BroadcastToOptions")

    @property
    def source(self) -> Shape:
        shape = self.inputs[0].shape
        return shape if self.pieces is not None else (1,) * (len(self.shape) - len(shape)) + shape

    def taken(self) -> tuple[Indices, ...]:
        pairs = zip(self.source, self.shape, strict=True)
        return tuple(np.arange(out) if extent == out else np.zeros(out, np.int64) for extent, out in pairs)
