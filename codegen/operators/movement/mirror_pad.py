"""MIRROR_PAD: the input with its own mirror images around it."""

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
REFLECT = 0  # in the schema; the other mode is 1, SYMMETRIC


@dataclass(frozen=True, eq=False, kw_only=True)
class MirrorPad(Selection):
    """`paddings` elements before and after, on each axis. The border itself is mirrored unless it `reflects`."""

    codes = ("MIRROR_PAD",)
    arithmetic = "Bytes are copied."

    paddings: tuple[tuple[int, int], ...]
    reflects: bool

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        x, amounts = node.input(0), node.integers(1)
        rank, mode = len(x.shape), int(node.options("MirrorPadOptions").Mode())
        node.require(1 <= rank <= LARGEST_RANK, f"needs 1 to {LARGEST_RANK} axes, not shape {list(x.shape)}")
        node.require(len(amounts) == 2 * rank, f"has {len(amounts)} paddings for {rank} axes")
        node.require(mode in (0, 1), f"mode {mode} is unknown")
        pairs = tuple(zip(amounts[::2], amounts[1::2], strict=True))
        for axis, (pair, extent) in enumerate(zip(pairs, x.shape, strict=True)):
            most = extent - (mode == REFLECT)
            node.require(
                min(pair) >= 0 and max(pair) <= most,
                f"pads axis {axis} by {list(pair)}; its {extent} indices can be mirrored by up to {most}",
            )
        return cls(**node.common(x), paddings=pairs, reflects=mode == REFLECT)

    def stored(self) -> Stored:
        amounts = np.array(self.paddings, np.int32)
        return Stored((*self.inputs, amounts), "MirrorPadOptions", {"Mode": REFLECT if self.reflects else 1})

    def summary(self) -> str:
        return f"padding by {'reflection' if self.reflects else 'mirroring'}"

    def taken(self) -> tuple[Indices, ...]:
        mode = "reflect" if self.reflects else "symmetric"
        pairs = zip(self.inputs[0].shape, self.paddings, strict=True)
        return tuple(np.pad(np.arange(extent), pair, mode=mode) for extent, pair in pairs)  # type: ignore[call-overload]
