"""A tensor as a framework sees it that puts channels first. Here they are last, and the batch is axis 0.

A transpose in the framework only changes which axis is which; the elements move where an operator needs them to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from driftc.codegen.tensor import Array, Shape, Tensor

Axes = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Value:
    """Axis i of the framework is axis `axes[i]` of the tensor; a batch axis may be the tensor's alone.

    `flattened` is what a flatten was given whose result has its elements in another order here: [1, n] both.
    """

    tensor: Tensor
    axes: Axes
    flattened: Value | None = None

    @property
    def shape(self) -> Shape:
        """As the framework sees it."""
        return tuple(self.tensor.shape[axis] for axis in self.axes)

    @property
    def rank(self) -> int:
        return len(self.axes)

    @property
    def plain(self) -> bool:
        """True where the tensor's elements are in the framework's order."""
        return self.flattened is None and self.axes == in_order(self.rank, len(self.tensor.shape) - self.rank)

    def as_here(self, array: Array) -> Array:
        """The framework's array with the tensor's shape and order."""
        if self.flattened is not None:
            array = self.flattened.as_here(array.reshape(self.flattened.shape))
        else:
            array = array.transpose(np.argsort(self.axes))
        return np.ascontiguousarray(array).reshape(self.tensor.shape)

    def as_there(self, array: Array) -> Array:
        """The tensor's array with the framework's shape and order."""
        return np.ascontiguousarray(array.transpose(self.axes))


def in_order(rank: int, first: int = 0) -> Axes:
    return tuple(range(first, first + rank))


def channels_last(rank: int) -> Axes:
    """The axes of [N, C, ...] where the tensor is [N, ..., C]."""
    return (0, rank - 1, *range(1, rank - 1))


def aligned(before: Shape, after: Shape) -> list[tuple[list[int], list[int]]]:
    """Axes of one shape and of another with the same elements, in the least groups that a reshape splits them into.

    Axes of extent 1 are in none.
    """
    left, right = ([axis for axis, n in enumerate(shape) if n > 1] for shape in (before, after))
    groups: list[tuple[list[int], list[int]]] = []
    while left and right:
        group = [left.pop(0)], [right.pop(0)]
        while (have := prod(before[axis] for axis in group[0])) != (want := prod(after[axis] for axis in group[1])):
            if have < want:
                group[0].append(left.pop(0))
            else:
                group[1].append(right.pop(0))
        groups.append(group)
    return groups


def placed(shape: Shape, order: Sequence[int]) -> Axes:
    """Where each axis of the framework's `shape` goes, so that those above 1 stand in `order`.

    In the framework's own order if it can be, else with channels last, else with the axes of extent 1 in front.
    """
    rank, first = len(shape), int(shape[0] != 1)
    plain = list(order) == sorted(order)
    last = channels_last(rank) if rank > 2 and not first else ()
    if last and list(order) == sorted(order, key=last.__getitem__) and (not plain or list(order) == [1]):
        return last
    if plain:
        return in_order(rank, first)
    places = [*(axis for axis, n in enumerate(shape) if n == 1), *order]
    return tuple(places.index(axis) + first for axis in range(rank))
