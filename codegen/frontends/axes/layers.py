"""Layers with weights, products, and images of other sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from driftc.codegen.frontends.axes.value import Value, in_order
from driftc.codegen.frontends.axes.window import Pairs, Windows, filters_of, pair_of
from driftc.codegen.operators.movement.move import Indices
from driftc.codegen.operators.resize.resize import LARGEST
from driftc.codegen.tensor import Array


class Layers(Windows):
    """Convolutions and dense layers."""

    def conv(
        self,
        label: str,
        x: Value,
        weights: Array,
        bias: Array | None,
        stride: Sequence[int],
        padding: Pairs,
        dilation: Sequence[int],
        groups: int,
    ) -> Value:
        """`weights` [out, in / groups, ...] with one or two axes of a window."""
        x, order = self._window(label, x, weights.ndim - 2)
        window: dict[str, Any] = {"stride": pair_of(stride, order, 1), "dilation": pair_of(dilation, order, 1)}
        filters = filters_of(weights, order)
        around = (*pair_of(padding, order, (0, 0))[0], *pair_of(padding, order, (0, 0))[1])
        return self._by_image(
            label, x, lambda y: self.builder.conv(label, y, filters, bias, padding=around, groups=groups, **window)
        )

    def transpose_conv(
        self,
        label: str,
        x: Value,
        weights: Array,
        bias: Array | None,
        stride: Sequence[int],
        crop: Pairs,
        dilation: Sequence[int],
        groups: int,
    ) -> Value:
        """`weights` [in, out / groups, ...]; `crop` is cut off before and after each axis of the window."""
        x, order = self._window(label, x, weights.ndim - 2)
        parts = [part.swapaxes(0, 1) for part in np.split(weights, groups)]
        filters = filters_of(np.concatenate(parts), order)
        step, spread = pair_of(stride, order, 1), pair_of(dilation, order, 1)
        cut = pair_of(crop, order, (0, 0))
        return self._by_image(
            label,
            x,
            lambda y: self.builder.transpose_conv(
                label, y, filters, bias, stride=step, dilation=spread, crop=cut, groups=groups
            ),
        )

    def resize(self, label: str, x: Value, size: Sequence[int], **grid: bool) -> Value:
        """`grid` is what FloatBuilder.resize takes."""
        x, order = self._window(label, x, len(size))
        wanted = pair_of([int(n) for n in size], order, 1)
        return self._by_image(label, x, lambda y: self.builder.resize(label, y, wanted, **grid))

    def nearest(self, label: str, x: Value, places: Sequence[Indices]) -> Value:
        """What stands at `places` of each axis of the window."""
        if any(len(taken) > LARGEST for taken in places):
            self.builder.refuse(f"'{label}': gives {[len(taken) for taken in places]}; driftc takes up to {LARGEST}")
        x, order = self._window(label, x, len(places))
        wanted = pair_of(places, order, np.zeros(1, np.int64))
        return self._by_image(label, x, lambda y: self.builder.nearest(label, y, wanted))

    def dense(self, label: str, x: Value, weights: Array, bias: Array | None) -> Value:
        """`weights` [out, in], over the last axis."""
        if x.flattened is not None and weights.shape[1] == x.shape[-1]:
            rows = np.stack([x.as_here(row).reshape(-1) for row in weights])
            return Value(self.builder.dense(label, x.tensor, rows, bias), x.axes)
        x = self.last(label, x, -1)
        return Value(self.builder.dense(label, x.tensor, weights, bias), x.axes)

    def matmul(self, label: str, a: Value, b: Value) -> Value:
        """Of the last two axes; the axes before them broadcast."""
        rank = max(a.rank, b.rank, 3)
        a, b = (self.expanded(f"{label}/{side}", x, rank) for side, x in (("a", a), ("b", b)))
        own = int(a.shape[0] != 1 or b.shape[0] != 1)
        tensors, transposed = [], []
        for side, x in (("a", a), ("b", b)):
            order = in_order(rank, own)
            turned = (*order[:-2], order[-1], order[-2])
            transposed.append(x.flattened is None and x.axes == turned and len(x.tensor.shape) == rank + own)
            tensors.append(x.tensor if transposed[-1] else self.moved(f"{label}/{side}", x, order).tensor)
        tensor = self.builder.matmul(label, tensors[0], tensors[1], (transposed[0], transposed[1]))
        return Value(tensor, in_order(rank, own))

    def matmul_constant(self, label: str, x: Value, matrix: Array, first: bool) -> Value:
        """With a constant, which is the first operand where `first`."""
        if matrix.ndim == 2 and not first:
            return self.dense(label, x, matrix.T, None)
        data = matrix.reshape((1,) * (max(x.rank, 3) - matrix.ndim) + matrix.shape)
        constant = Value(self.builder.constant(f"{label}/constant", data), in_order(data.ndim))
        return self.matmul(label, constant, x) if first else self.matmul(label, x, constant)
