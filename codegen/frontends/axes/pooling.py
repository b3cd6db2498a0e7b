"""Pooling and reductions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import Literal

import numpy as np

from driftc.codegen.frontends.axes.movement import Movement
from driftc.codegen.frontends.axes.operands import Operands
from driftc.codegen.frontends.axes.value import Axes, Value
from driftc.codegen.frontends.axes.window import Pairs, Windows, ceil_padding, pair_of
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.reduction.mean import Mean
from driftc.codegen.tensor import Tensor

Reduction = Callable[[str, Tensor, Sequence[int], bool], Tensor]


class Pooling(Windows, Operands, Movement):
    """Layers that gather values."""

    def pool(
        self,
        label: str,
        x: Value,
        kind: Literal["max", "average"],
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Pairs,
    ) -> Value:
        """Padding counts in an average."""
        x, order = self._window(label, x, len(kernel))
        around = (*pair_of(padding, order, (0, 0))[0], *pair_of(padding, order, (0, 0))[1])
        size, step = pair_of(kernel, order, 1), pair_of(stride, order, 1)
        return self._by_image(label, x, lambda y: self.builder.pool(label, y, kind, size, step, around))

    def average(
        self,
        label: str,
        x: Value,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Pairs,
        *,
        ceiling: bool = False,
        padding_counts: bool = True,
        divisor: float | None = None,
    ) -> Value:
        """`ceiling`: the last window may reach beyond what is padded, where nothing counts. `divisor`: of the sums."""
        around = ceil_padding(padding, x.shape[2:], kernel, stride) if ceiling else list(padding)
        if divisor is not None:
            y = self.pool(f"{label}/mean", x, "average", kernel, stride, around)
            return self.binary_constant(label, Mul, y, np.full(1, prod(kernel) / divisor), first=False)
        beyond = [(0, reached - after) for (_, reached), (_, after) in zip(around, padding, strict=True)]
        if padding_counts and any(after for _, after in beyond):
            x, around = self.pad(f"{label}/pad", x, [(0, 0), (0, 0), *padding], 0.0), beyond
        if (padding_counts and not any(after for _, after in beyond)) or not any(a or b for a, b in around):
            return self.pool(label, x, "average", kernel, stride, around)
        x, order = self._window(label, x, len(kernel))
        size, step, pads = pair_of(kernel, order, 1), pair_of(stride, order, 1), pair_of(around, order, (0, 0))
        return self._by_image(label, x, lambda y: self.builder.average_uncounted(label, y, size, step, pads))

    def power_pool(
        self, label: str, x: Value, order: int, kernel: Sequence[int], stride: Sequence[int], padding: Pairs
    ) -> Value:
        """The norm of each window; padding is 0."""
        x, places = self._window(label, x, len(kernel))
        around = (*pair_of(padding, places, (0, 0))[0], *pair_of(padding, places, (0, 0))[1])
        size, step = pair_of(kernel, places, 1), pair_of(stride, places, 1)
        return self._by_image(label, x, lambda y: self.builder.power_pool(label, y, order, size, step, around))

    def adaptive(self, label: str, x: Value, kind: Literal["max", "average"], size: Sequence[int]) -> Value:
        """Pooling to `size`."""
        if kind == "average" and set(size) == {1}:
            return self.mean(label, x, range(2, x.rank), keep_dims=True)
        x, order = self._window(label, x, len(size))
        return self._by_image(label, x, lambda y: self.builder.adaptive(label, y, kind, pair_of(size, order, 1)))

    def mean(self, label: str, x: Value, axes: Sequence[int], keep_dims: bool) -> Value:
        return self.reduce(Mean, label, x, axes, keep_dims)

    def reduce(self, kind: type[Operator], label: str, x: Value, axes: Sequence[int], keep_dims: bool) -> Value:
        """MEAN, SUM, REDUCE_MAX and the like."""
        return self.along(label, x, axes, keep_dims, partial(self.builder.reduce, kind))

    def norm(self, label: str, x: Value, axes: Sequence[int], keep_dims: bool, order: int = 2) -> Value:
        """The root of the sum of squares; with `order` 1, the sum of magnitudes."""
        return self.along(label, x, axes, keep_dims, partial(self.builder.norm, order=order))

    def along(self, label: str, x: Value, axes: Sequence[int], keep_dims: bool, reduce: Reduction) -> Value:
        """`reduce`, a method of the builder, along `axes` of the framework."""
        x = self._unflattened(label, x)
        gone = {axis % x.rank for axis in axes}
        tensor = reduce(label, x.tensor, [x.axes[axis] for axis in gone], keep_dims)
        return Value(tensor, x.axes if keep_dims else _without(x.axes, gone))

    def cumsum(self, label: str, x: Value, axis: int, exclusive: bool = False, reverse: bool = False) -> Value:
        x = self._unflattened(label, x)
        tensor = self.builder.cumsum(label, x.tensor, x.axes[axis % x.rank], exclusive, reverse)
        return replace(x, tensor=tensor)

    def arg(self, kind: type[Operator], label: str, x: Value, axis: int, keep_dims: bool) -> Value:
        """ARG_MAX or ARG_MIN, which ends a model."""
        x = self._unflattened(label, x)
        if keep_dims:
            self.builder.refuse(
                f"'{label}': keeps the axis whose index it gives; driftc gives it without (keepdim=False)"
            )
        return Value(self.builder.arg(kind, label, x.tensor, x.axes[axis % x.rank]), _without(x.axes, {axis % x.rank}))


def _without(axes: Axes, gone: set[int]) -> Axes:
    """The axes that are left, closed up."""
    dropped = [axes[axis] for axis in gone]
    kept = [here for axis, here in enumerate(axes) if axis not in gone]
    return tuple(here - sum(place < here for place in dropped) for here in kept)
