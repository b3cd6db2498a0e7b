"""Shared by SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND: every block-th row and pixel as an image of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from driftc.codegen.operators.base import Stored
from driftc.codegen.operators.movement.move import Indices, Loop, Move, Nest
from driftc.codegen.operators.movement.selection import Stretch, by_table, stretches
from driftc.codegen.operators.reduction.axes import int32s
from driftc.codegen.tensor import Array, Shape, Tensor

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

LARGEST = 1 << 12  # of a block, and of what is added or cut at a border


@dataclass(frozen=True, eq=False, kw_only=True)
class SpaceBatch(Move):
    """[N, H, W, C], or [N, H, C] with blocks of rows alone.

    `borders` are added before and after the rows and pixels of the space, or cut from them again.
    """

    arithmetic = "Bytes are copied."
    options: ClassVar[str]  # the schema's options table
    word: ClassVar[str]  # what `borders` are called

    block: tuple[int, ...]
    borders: tuple[tuple[int, int], ...]

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        x, block, amounts = node.input(0), int32s(node, 1, "the block's shape"), int32s(node, 2, cls.word)
        rank = len(x.shape)
        node.require(rank in (3, 4), f"needs an input of shape [N, H, W, C] or [N, H, C], not {list(x.shape)}")
        node.require(
            len(block) == rank - 2 and len(amounts) == 2 * len(block),
            f"has blocks of shape {list(block)} and {len(amounts)} {cls.word} for an input of {rank} axes",
        )
        node.require(
            all(0 < n <= LARGEST for n in block) and all(0 <= n <= LARGEST for n in amounts),
            f"blocks of {list(block)} and {cls.word} {list(amounts)} are out of range",
        )
        return cls(**node.common(x), block=block, borders=tuple(zip(amounts[::2], amounts[1::2], strict=True)))

    def stored(self) -> Stored:
        operands = (np.array(self.block, np.int32), np.array(self.borders, np.int32))
        return Stored((*self.inputs, *operands), self.options)

    @property
    def batched(self) -> Tensor:
        """The side with many small images."""
        raise NotImplementedError

    @property
    def spatial(self) -> Tensor:
        """The side with few large ones."""
        raise NotImplementedError

    def places(self) -> list[Indices]:
        """For each row, and pixel, of the space: where it is among the small images, in elements from the first."""
        images, *small, channels = self.batched.shape
        sizes = [*small, channels]
        image = prod(sizes) * (images // prod(self.block))  # from one row of a block to the next, of one pixel each
        found = []
        for axis, (block, (before, _)) in enumerate(zip(self.block, self.borders, strict=True)):
            place = np.arange(self.spatial.shape[1 + axis]) + before
            apart = image * prod(self.block[axis + 1 :])
            found.append(place % block * apart + place // block * prod(sizes[axis + 1 :]))
        return found

    def axes(self) -> list[tuple[Stretch, ...]]:
        """How the `places` come about."""
        found = [stretches(places, f"axis{axis}") for axis, places in enumerate(self.places())]
        if prod(map(len, found)) > len(found):
            return [
                (by_table(len(places), f"axis{axis}"),) if len(one) > 1 else one
                for axis, (one, places) in enumerate(zip(found, self.places(), strict=True))
            ]
        return found

    def copies(self, scatters: bool) -> Sequence[Nest]:
        """Image by image, row by row of the space; `scatters`: from there."""
        count, *_, channels = self.spatial.shape
        large, small = (tensor.size // tensor.shape[0] for tensor in (self.spatial, self.batched))
        steps = [prod(self.spatial.shape[2 + axis :]) for axis in range(len(self.block))]
        found = []
        for chosen in product(*self.axes()):
            loops = [(count, small, large, "")]
            first = start = 0
            for stretch, step in zip(chosen, steps, strict=True):
                loops += [(loop.count, loop.read, loop.write * step, loop.table) for loop in stretch.loops]
                first, start = first + stretch.first, start + stretch.start * step
            loops.append((channels, 1, 1, ""))
            if scatters:
                made = tuple(Loop(n, space, batch, table, bool(table)) for n, batch, space, table in loops)
                found.append(Nest(made, start, first))
            else:
                made = tuple(Loop(n, batch, space, table) for n, batch, space, table in loops)
                found.append(Nest(made, first, start))
        return found

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        """What lies between the two acts on each image alone, in whatever order they are."""
        return self.spec(*inputs)


def blocks_of(shape: Shape, block: Sequence[int]) -> tuple[Shape, tuple[int, ...]]:
    """[N, H, W, C] as [N, rows, block, pixels, block, C], and these axes with the blocks in front."""
    split = [n for extent, size in zip(shape[1:-1], block, strict=True) for n in (extent // size, size)]
    axes = range(1, 1 + len(split))
    return (shape[0], *split, shape[-1]), (*axes[1::2], 0, *axes[::2], 1 + len(split))
