"""Windows over one axis or two, and what a layer reads around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from driftc.codegen.frontends.axes.orders import Orders
from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.frontends.builder import Pair
from driftc.codegen.operators.attributes import same_padding
from driftc.codegen.tensor import Array, Tensor

Pairs = Sequence[Pair]  # what is padded before and after each axis of a window


class Windows(Orders):
    """Layers that need channels last."""

    def _window(self, label: str, x: Value, axes: int) -> tuple[Value, list[int]]:
        """`x` with channels last, and in which order the axes of a window stand here."""
        if axes not in (1, 2):
            self.builder.refuse(f"'{label}': has windows of {axes} axes; driftc reads one and two")
        if x.rank != axes + 2:
            self.builder.refuse(f"'{label}': needs {'[N, C, L]' if axes == 1 else '[N, C, H, W]'}, not {list(x.shape)}")
        x = self.with_channels_last(label, x)
        return x, sorted(range(axes), key=x.axes[2:].__getitem__)

    def _by_image(self, label: str, x: Value, apply: Callable[[Tensor], Tensor]) -> Value:
        """`apply` to an image; steps are an image of one row."""
        if x.rank == 4:
            return replace(x, tensor=apply(x.tensor))
        image = self.builder.reshape(f"{label}/image", x.tensor, (1, 1, *x.tensor.shape[1:]))
        y = apply(image)
        return replace(x, tensor=self.builder.reshape(f"{label}/steps", y, (1, *y.shape[2:])))


def pair_of(each: Sequence[Any], order: Sequence[int], alone: Any) -> tuple[Any, Any]:
    """What is said of each axis of a window, for rows and pixels here; `alone` for the rows of steps."""
    found = [each[axis] for axis in order]
    return (found[0], found[1]) if len(found) == 2 else (alone, found[0])


def filters_of(weights: Array, order: Sequence[int]) -> Array:
    """[out, in, ...] as [out, rows, pixels, in]."""
    moved = weights.transpose(0, *(axis + 2 for axis in order), 1)
    return moved if moved.ndim == 4 else moved[:, np.newaxis]


def same_around(scheme: str, sizes: Sequence[int], *window: Sequence[int]) -> list[Pair]:
    """What ONNX's auto_pad pads; `window` is kernel, stride and dilation."""
    pairs = [same_padding(*axis) for axis in zip(sizes, *window, strict=True)]
    return [pair[::-1] for pair in pairs] if scheme == "SAME_LOWER" else pairs


def ceil_padding(padding: Pairs, sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> list[Pair]:
    """`padding` with what `ceil_mode` adds after each axis: windows that begin inside the image are all computed."""
    found: list[Pair] = []
    for size, k, s, (before, after) in zip(sizes, kernel, stride, padding, strict=True):
        count = -(-(size + before + after - k) // s) + 1
        count -= (count - 1) * s >= size + before
        found.append((before, max(after, (count - 1) * s + k - size - before)))
    return found
