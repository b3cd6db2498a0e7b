"""What moves elements and computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from driftc.codegen.frontends.axes.orders import Orders
from driftc.codegen.frontends.axes.value import Value, channels_last, in_order
from driftc.codegen.frontends.axes.window import Pairs
from driftc.codegen.operators.resize.resize import LARGEST
from driftc.codegen.tensor import Array


class Movement(Orders):
    """Slices, joins, other shapes."""

    def look_up(self, label: str, indices: Value, table: Array) -> Value:
        """Rows of `table` by int32 indices."""
        tensor = self.builder.look_up(label, self.plain(label, indices), table)
        return Value(tensor, in_order(len(tensor.shape)))

    def concat(self, label: str, parts: Sequence[Value], axis: int) -> Value:
        parts = [self._unflattened(f"{label}/{number}", part) for number, part in enumerate(parts)]
        largest = max(parts, key=lambda part: part.tensor.size)
        parts = [self.moved(f"{label}/{number}", part, largest.axes) for number, part in enumerate(parts)]
        tensor = self.builder.concat(label, [part.tensor for part in parts], largest.axes[axis % largest.rank])
        return replace(largest, tensor=tensor)

    def pad(self, label: str, x: Value, paddings: Pairs, value: float) -> Value:
        """`paddings` for every axis of the framework."""
        x = self._unflattened(label, x)
        return replace(x, tensor=self.builder.pad(label, x.tensor, self._here(x, paddings, (0, 0)), value))

    def slice(self, label: str, x: Value, ranges: Sequence[range]) -> Value:
        x = self._unflattened(label, x)
        return replace(x, tensor=self.builder.slice(label, x.tensor, self._here(x, ranges, range(1))))

    def split(self, label: str, x: Value, sizes: Sequence[int], axis: int) -> list[Value]:
        x = self._unflattened(label, x)
        return [replace(x, tensor=part) for part in self.builder.split(label, x.tensor, sizes, x.axes[axis % x.rank])]

    def take(self, label: str, x: Value, indices: Array, axis: int) -> Value:
        """The slices at constant `indices`, whose axes stand in the place of `axis`."""
        axis %= x.rank
        x = self._unflattened(label, x)
        tensor = self.builder.take(label, x.tensor, indices.reshape(-1).tolist(), x.axes[axis])
        shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
        return self.reshape(f"{label}/index", replace(x, tensor=tensor), shape)

    def tiled(self, label: str, x: Value, times: Sequence[int]) -> Value:
        """As often behind itself along each axis."""
        x = self._unflattened(label, self.expanded(label, x, len(times)))
        return replace(x, tensor=self.builder.tile(label, x.tensor, self._here(x, times, 1)))

    def mirrored(self, label: str, x: Value, paddings: Pairs, reflects: bool) -> Value:
        x = self._unflattened(label, x)
        return replace(x, tensor=self.builder.mirrored(label, x.tensor, self._here(x, paddings, (0, 0)), reflects))

    def repeated(self, label: str, x: Value, paddings: Pairs, wraps: bool) -> Value:
        """`x` padded with its edges, or with what stands at the other end."""
        for axis, (before, after) in enumerate(paddings):
            n = x.shape[axis]
            if before or after:
                if min(before, after) < 0 or n + before + after > LARGEST:
                    self.builder.refuse(
                        f"'{label}': pads {n} by {before} and {after}; driftc makes 1 to {LARGEST} of it"
                    )
                places = np.arange(-before, n + after)
                x = self.take(f"{label}/{axis}", x, places % n if wraps else np.clip(places, 0, n - 1), axis)
        return x

    def stacked(self, label: str, parts: Sequence[Value], axis: int) -> Value:
        axis %= parts[0].rank + 1
        shape = (*parts[0].shape[:axis], 1, *parts[0].shape[axis:])
        wide = [self.reshape(f"{label}/{number}", part, shape) for number, part in enumerate(parts)]
        return self.concat(label, wide, axis)

    def depth_to_space(self, label: str, x: Value, block: int, depth_first: bool) -> Value:
        """[N, C, H, W] to [N, C / block^2, H block, W block]; `depth_first`: the block's place is C's outer part."""
        x = self.with_channels_last(label, x if depth_first else self._turned(label, x, block, outwards=True))
        x = self.moved(label, x, channels_last(4))
        return replace(x, tensor=self.builder.depth_to_space(label, x.tensor, block))

    def space_to_depth(self, label: str, x: Value, block: int, depth_first: bool) -> Value:
        """[N, C, H, W] to [N, C block^2, H / block, W / block]."""
        x = self.moved(label, x, channels_last(4))
        y = replace(x, tensor=self.builder.space_to_depth(label, x.tensor, block))
        return y if depth_first else self._turned(label, y, block, outwards=False)

    def _turned(self, label: str, x: Value, block: int, outwards: bool) -> Value:
        """The place in the block moved from the inner part of the channel outwards, or back."""
        depth = x.shape[1] // block**2
        parts = (depth, block**2) if outwards else (block**2, depth)
        y = self.reshape(f"{label}/blocks", x, (1, *parts, *x.shape[2:]))
        return self.reshape(f"{label}/turned", self.transpose(label, y, (0, 2, 1, 3, 4)), x.shape)

    def _here(self, x: Value, each: Sequence[Any], alone: Any) -> list[Any]:
        """What is said of each axis of the framework, for each of the tensor; `alone` for a batch axis of its own."""
        found = [alone] * len(x.tensor.shape)
        for axis, item in zip(x.axes, each, strict=True):
            found[axis] = item
        return found
