"""Shared by operators that take, on each axis by itself, some indices of the input: slices, tiles, mirrors, repeats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import prod
from typing import Self

import numpy as np

from driftc.codegen.operators.base import Box, Tiling, cut
from driftc.codegen.operators.movement.move import Indices, Loop, Move, Nest, dense
from driftc.codegen.tensor import Array, Shape

MOST_NESTS = 9  # beyond, an axis goes by a table


@dataclass(frozen=True)
class Stretch:
    """Outputs from `start` on one axis take `first` + `loops`, the outermost of these first."""

    start: int
    first: int
    loops: tuple[Loop, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Selection(Move):
    """out[i, j, ...] = in[taken[0][i], taken[1][j], ...], perhaps under another shape; subclasses define `taken`."""

    tiling = Tiling.ROWS | Tiling.CHANNELS

    pieces: tuple[Indices, ...] | None = None  # `taken`, of a part

    def taken(self) -> tuple[Indices, ...]:
        """For each axis of `source` the index of the input that each index of the output takes."""
        raise NotImplementedError

    @property
    def source(self) -> Shape:
        """The input's shape, with as many axes as `taken` has entries."""
        return self.inputs[0].shape

    @cached_property
    def indices(self) -> tuple[Indices, ...]:
        found = self.taken() if self.pieces is None else self.pieces
        return tuple(np.asarray(axis, np.int64) for axis in found)

    @property
    def counts(self) -> Shape:
        """How many are taken on each axis."""
        return tuple(len(axis) for axis in self.indices)

    def infer(self) -> tuple[Shape, ...]:
        return (self.counts,)

    # --- in C ---

    @cached_property
    def stretches(self) -> tuple[tuple[Stretch, ...], ...]:
        """For each axis how its indices come about."""
        found = [stretches(axis, f"axis{number}") for number, axis in enumerate(self.indices)]
        while prod(len(axis) for axis in found) > MOST_NESTS:
            longest = max(range(len(found)), key=lambda axis: len(found[axis]))
            found[longest] = (by_table(self.counts[longest], f"axis{longest}"),)
        return tuple(found)

    def nests(self) -> Sequence[Nest]:
        return self.nests_of(range(len(self.indices)), dense(self.source), dense(self.counts))

    def nests_of(self, axes: range, read: Sequence[int], write: Sequence[int]) -> list[Nest]:
        """The copies along `axes`, where neighbours on these are `read` and `write` elements apart."""
        found = []
        for chosen in product(*(self.stretches[axis] for axis in axes)):
            loops = [
                replace(loop, read=loop.read * inner, write=loop.write * outer)
                for stretch, inner, outer in zip(chosen, read, write, strict=True)
                for loop in stretch.loops
            ]
            first = sum(stretch.first * inner for stretch, inner in zip(chosen, read, strict=True))
            start = sum(stretch.start * outer for stretch, outer in zip(chosen, write, strict=True))
            found.append(Nest(tuple(loops), first, start))
        return found

    def row_nests(self, read: Sequence[int], write: Sequence[int], channels: int) -> list[Nest]:
        """The copies within a row; rows, pixels and channels are `read` and `write` bytes apart.

        Where channels are taken as they are, `channels` of them from the first one on.
        """
        item = self.outputs[0].dtype.itemsize
        axes = range(max(len(self.counts) - 2, 0), len(self.counts))
        inner, outer = ([stride // item for stride in strides[3 - len(axes) :]] for strides in (read, write))
        if Tiling.CHANNELS not in self.divisible:
            return self.nests_of(axes, inner, outer)
        run = (Loop(channels, inner[-1], outer[-1]),)
        found = self.nests_of(axes[:-1], inner[:-1], outer[:-1])
        return [replace(nest, loops=nest.loops + run) for nest in found]

    # --- in parts ---

    @property
    def divisible(self) -> Tiling:
        """Rows, where the rows of both sides are those of one axis; channels too, where all are taken as they are."""
        x, y = self.inputs[0], self.outputs[0]
        inner, outer = (tuple(shape[-3:]) for shape in (self.source, self.counts))
        folded = [(1,) * (3 - len(shape)) + shape for shape in (inner, outer)]
        if folded != [x.hwc, y.hwc] or len(self.counts) == 0:
            return Tiling.NONE
        whole = np.array_equal(self.indices[-1], np.arange(x.hwc[2]))
        return Tiling.ROWS | Tiling.CHANNELS if whole else Tiling.ROWS

    def _last_three(self) -> tuple[Indices, Indices, Indices]:
        one = np.zeros(1, np.int64)
        rows, pixels, channels = ((one, one, one, *self.indices))[-3:]
        return rows, pixels, channels

    @property
    def _whole(self) -> Box:
        height, _, depth = self.outputs[0].hwc
        return Box(0, height, 0, depth)

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        x = self.inputs[0]
        if self.divisible is Tiling.NONE or box == self._whole:
            return (Box(0, x.hwc[0], 0, x.hwc[2]),)
        rows, _, channels = self._last_three()
        return (Box(*_span(rows[box.row0 : box.row1]), *_span(channels[box.channel0 : box.channel1])),)

    def part(self, box: Box, reduce: range | None = None) -> Self:
        if reduce is None and box == self._whole:
            return self
        if reduce is not None or self.divisible is Tiling.NONE:
            raise ValueError(f"{self.name}: {self.kind} of these shapes cannot be computed in parts")
        (need,) = self.needs(box)
        rows, pixels, channels = self._last_three()
        pieces = rows[box.row0 : box.row1] - need.row0, pixels, channels[box.channel0 : box.channel1] - need.channel0
        return replace(
            self,
            inputs=(cut(self.inputs[0], need), *self.inputs[1:]),
            outputs=(cut(self.outputs[0], box),),
            pieces=(np.zeros(1, np.int64), *pieces),
        )

    # --- semantics ---

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (self.picked(np.asarray(inputs[0]).reshape(self.source), 0).reshape(self.outputs[0].shape),)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        batch = self.inputs[0].shape[:1]
        if self.source[:1] != batch or not np.array_equal(self.indices[0], np.arange(*batch)):
            self.refuse("takes from the batch axis")
        return (self.picked(inputs[0], 1).reshape(-1, *self.outputs[0].shape[1:]),)

    def picked(self, x: Array, first_axis: int) -> Array:
        """The elements that are taken, on the axes from `first_axis` up."""
        for number, axis in list(enumerate(self.indices))[first_axis:]:
            x = x.take(axis, axis=number)
        return x


def stretches(indices: Indices, table: str) -> tuple[Stretch, ...]:
    """`indices` as one loop, two that are nested, or a few one after another; else by the constant `table`."""
    runs = _runs(indices)
    if len(runs) == 1:
        return (Stretch(0, runs[0].first, runs[0].loops),)
    firsts = np.array([run.first for run in runs])
    steps = np.diff(firsts)
    if len({run.loops for run in runs}) == 1 and (steps == steps[0]).all():
        (loop,) = runs[0].loops
        return (Stretch(0, runs[0].first, (Loop(len(runs), int(steps[0]), loop.count), loop)),)
    return tuple(runs) if len(runs) <= 3 else (by_table(len(indices), table),)


def by_table(count: int, table: str) -> Stretch:
    return Stretch(0, 0, (Loop(count, 1, 1, table),))


def _runs(indices: Indices) -> list[Stretch]:
    """Maximal stretches of equal steps."""
    found: list[Stretch] = []
    start = 0
    while start < len(indices):
        stop = start + 1
        step = int(indices[stop] - indices[start]) if stop < len(indices) else 1
        while stop < len(indices) and indices[stop] - indices[stop - 1] == step:
            stop += 1
        found.append(Stretch(start, int(indices[start]), (Loop(stop - start, step if stop - start > 1 else 1, 1),)))
        start = stop
    return found


def _span(indices: Indices) -> tuple[int, int]:
    return int(indices.min()), int(indices.max()) + 1


def smallest(indices: Indices) -> type:
    """The narrowest type in which a table of `indices` can be held in flash."""
    return np.uint8 if indices.max() < 256 else np.int16 if indices.max() < 1 << 15 else np.int32
