"""Where a framework's axes lie here, and moving elements where an operator needs them in another order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from driftc.codegen.frontends.axes.value import Axes, Value, aligned, channels_last, in_order, placed
from driftc.codegen.frontends.blocks.core import FLOAT
from driftc.codegen.frontends.builder import FloatBuilder
from driftc.codegen.tensor import Shape, Tensor


class Orders:
    """Values in other orders of axes and other shapes."""

    def __init__(self, builder: FloatBuilder) -> None:
        self.builder = builder

    def input(self, label: str, shape: Sequence[int | None], image: bool, dtype: np.dtype[Any] = FLOAT) -> Value:
        """`image`: its axes are [N, C, ...], and channels are last here."""
        axes = channels_last(len(shape)) if image else in_order(len(shape))
        return Value(self.builder.input(label, [shape[axes.index(axis)] for axis in range(len(shape))], dtype), axes)

    def moved(self, label: str, x: Value, axes: Axes) -> Value:
        """The same value with its axes elsewhere."""
        if x.flattened is not None:
            before = self.moved(label, x.flattened, in_order(x.flattened.rank))
            x = Value(self.builder.reshape(f"{label}/flat", before.tensor, x.shape), in_order(x.rank))
        if x.axes == axes and len(x.tensor.shape) == max(axes) + 1:
            return x
        own = max(axes) + 1 - x.rank  # 1 where the tensor has a batch axis of its own
        tensor, here = x.tensor, x.axes
        if len(tensor.shape) - x.rank > own:  # in the right order first: only then is the batch in front without it
            y = self.moved(label, x, tuple(axis + 1 for axis in axes))
            return Value(self.builder.reshape(f"{label}/axes", y.tensor, y.tensor.shape[1:]), axes)
        if len(tensor.shape) - x.rank < own:
            ordered = sorted(range(x.rank), key=x.axes.__getitem__)
            tensor = self.builder.reshape(f"{label}/axes", tensor, (1,) * own + tuple(x.shape[i] for i in ordered))
            here = tuple(ordered.index(axis) + own for axis in range(x.rank))
        order = [0] * len(tensor.shape)
        for old, new in zip(here, axes, strict=True):
            order[new] = old
        return Value(self.builder.transpose(f"{label}/axes", tensor, order), axes)

    def plain(self, label: str, x: Value) -> Tensor:
        """The tensor in the framework's own order."""
        return x.tensor if x.plain else self.moved(label, x, in_order(x.rank, int(x.shape[0] != 1))).tensor

    def with_channels_last(self, label: str, x: Value) -> Value:
        """With the batch first and the channels last; the other axes may stand in any order between them."""
        if x.shape[0] != 1:
            self.builder.refuse(f"'{label}': {x.shape[0]} samples at a time; driftc compiles for one")
        if x.flattened is None and x.axes[0] == 0 and x.axes[1] == x.rank - 1 == len(x.tensor.shape) - 1:
            return x
        return self.moved(label, x, channels_last(x.rank) if x.rank > 1 else (0,))

    def last(self, label: str, x: Value, axis: int) -> Value:
        """With the framework's `axis` last here, the others as they are."""
        axis %= x.rank
        if x.flattened is None and x.axes[axis] == len(x.tensor.shape) - 1:
            return x
        return self.moved(label, x, tuple(_put_last(x.axes, axis) if x.flattened is None else in_order(x.rank)))

    def output(self, label: str, x: Value) -> Value:
        """In one of the orders that an output may have: the framework's, or channels last."""
        if not x.shape or x.shape[0] != 1:
            self.builder.refuse(f"output '{label}' is {list(x.shape)}; driftc needs one sample, in front")
        known = [in_order(x.rank), channels_last(x.rank) if x.rank > 2 else ()]
        if x.flattened is not None or (x.axes in known and len(x.tensor.shape) == x.rank):
            return x
        return self.moved(f"{label}/order", x, in_order(x.rank))

    def transpose(self, label: str, x: Value, permutation: Sequence[int]) -> Value:
        if x.flattened is not None:
            x = self.moved(label, x, in_order(x.rank))
        return Value(x.tensor, tuple(x.axes[axis] for axis in permutation))

    def reshape(self, label: str, x: Value, shape: Shape) -> Value:
        """`shape` may hold one -1."""
        if -1 in shape:
            rest = prod(n for n in shape if n != -1)
            shape = tuple(prod(x.shape) // max(rest, 1) if n == -1 else n for n in shape)
        if shape == x.shape:
            return x
        if prod(shape) != prod(x.shape) or not shape:
            self.builder.refuse(f"'{label}': cannot make {list(shape)} of {list(x.shape)}")
        if x.flattened is not None:
            if shape == x.flattened.shape:
                return replace(x.flattened, tensor=self.builder.reshape(label, x.tensor, x.flattened.tensor.shape))
            x = self.moved(label, x, in_order(x.rank))
        groups = aligned(x.shape, shape)
        order = sorted((axis for axis, n in enumerate(x.shape) if n > 1), key=x.axes.__getitem__)
        if not all(_together(before, order) for before, _ in groups):
            if len(shape) == 2 and shape[0] == 1:
                return Value(self.builder.reshape(label, x.tensor, shape), (0, 1), x)
            order = [axis for group in sorted(groups, key=lambda g: order.index(g[0][-1])) for axis in group[0]]
            x = self.moved(label, x, placed(x.shape, order))
        after = [axis for group in sorted(groups, key=lambda g: order.index(g[0][0])) for axis in group[1]]
        return self._made(label, x.tensor, shape, placed(shape, after))

    def _made(self, label: str, tensor: Tensor, shape: Shape, axes: Axes) -> Value:
        """`tensor` under another shape: the framework's `shape` in `axes`."""
        here = [1] * (max(axes) + 1)
        for axis, extent in zip(axes, shape, strict=True):
            here[axis] = extent
        return Value(self.builder.reshape(label, tensor, tuple(here)), axes)

    def expanded(self, label: str, x: Value, rank: int) -> Value:
        """With axes of extent 1 in front, as broadcasting puts them there."""
        return x if x.rank == rank else self.reshape(label, x, (1,) * (rank - x.rank) + x.shape)

    def _unflattened(self, label: str, x: Value) -> Value:
        return x if x.flattened is None else self.moved(label, x, in_order(x.rank))


def _put_last(axes: Axes, axis: int) -> Axes:
    """The others close up."""
    place = axes[axis]
    return tuple(max(axes) if here == place else here - (here > place) for here in axes)


def _together(group: Sequence[int], order: Sequence[int]) -> bool:
    """True where the axes of `group` stand side by side in `order`, in their own order."""
    first = order.index(group[0])
    return list(order[first : first + len(group)]) == list(group)
