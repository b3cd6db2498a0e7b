"""Shared by operators that slide a window: which rows and pixels it reaches, and in which order they are visited."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.operators.attributes import same_padding
from driftc.codegen.operators.base import Operator
from driftc.codegen.tensor import Array, Tensor


def _strip(tensor: Tensor, pixels: int) -> Tensor:
    height, _, channels = tensor.hwc
    return replace(tensor, shape=(1, height, pixels, channels))


class Windowed(Operator):
    """Helpers shared by operators that slide a window: convolution, depthwise convolution, pooling.

    Expects `kernel`, `stride`, `dilation` as (rows, pixels) and `padding` as (top, bottom, left, right).
    """

    one_image = True
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int, int, int]

    @cached_property
    def reach(self) -> tuple[int, int]:
        """Rows and pixels that one window spans, dilation included."""
        return (
            (self.kernel[0] - 1) * self.dilation[0] + 1,
            (self.kernel[1] - 1) * self.dilation[1] + 1,
        )

    def output_size(self) -> tuple[int, int]:
        """Rows and pixels of the output."""
        _, height, width, _ = self.inputs[0].shape
        top, bottom, left, right = self.padding
        return (
            (height + top + bottom - self.reach[0]) // self.stride[0] + 1,
            (width + left + right - self.reach[1]) // self.stride[1] + 1,
        )

    def input_rows(self, row0: int, row1: int) -> tuple[int, int, int, int]:
        """For output rows [row0, row1): the input rows [first, last) and the padding above and below them."""
        height = self.inputs[0].hwc[0]
        first = row0 * self.stride[0] - self.padding[0]
        last = (row1 - 1) * self.stride[0] - self.padding[0] + self.reach[0]
        inside = (max(0, min(first, height)), max(0, min(last, height)))
        return (*inside, inside[0] - first, last - inside[1])

    def input_pixels(self, pixels: range) -> tuple[range, int, int]:
        """For output pixels `pixels` of a row: the input pixels, and the padding left and right of them."""
        width = self.inputs[0].hwc[1]
        first = pixels.start * self.stride[1] - self.padding[2]
        last = (pixels.stop - 1) * self.stride[1] - self.padding[2] + self.reach[1]
        inside = range(max(0, min(first, width)), max(0, min(last, width)))
        return inside, inside.start - first, last - inside.stop

    def strip(self, pixels: range) -> Self:
        """The operator that computes `pixels` of each row from exactly the pixels that they need, made once."""
        if pixels not in self._strips:
            read, left, right = self.input_pixels(pixels)
            changes: dict[str, Any] = {
                "inputs": (_strip(self.inputs[0], len(read)), *self.inputs[1:]),
                "outputs": (_strip(self.outputs[0], len(pixels)),),
                "padding": (*self.padding[:2], left, right),
            }
            self._strips[pixels] = replace(self, **changes)
        return self._strips[pixels]

    @cached_property
    def _strips(self) -> dict[range, Self]:
        return {}

    def scheme(self) -> int:
        """The padding as a .tflite file names it: 0 is SAME, 1 is VALID."""
        size = self.inputs[0].shape[1:3]
        same = [same_padding(*axis) for axis in zip(size, self.kernel, self.stride, self.dilation, strict=True)]
        if not any(self.padding):
            return 1
        if self.padding != (*same[0], *same[1]):
            self.refuse(f"padding {list(self.padding)} is neither SAME nor VALID; a PAD must come before it")
        return 0

    def interior(self, axis: int) -> tuple[int, int]:
        """Output rows (axis 0) or pixels (axis 1) [first, last) whose window lies wholly inside the input."""
        size = self.inputs[0].hwc[axis]
        before = self.padding[2 * axis]
        count = self.outputs[0].hwc[axis]
        first = -(-before // self.stride[axis])
        last = (size + before - self.reach[axis]) // self.stride[axis] + 1
        first = min(max(first, 0), count)
        return first, min(max(last, first), count)

    def mean_inside(self, axis: int) -> float:
        """How many rows (axis 0) or pixels (axis 1) of a window lie inside the input, on average."""
        first = np.arange(self.outputs[0].hwc[axis]) * self.stride[axis] - self.padding[2 * axis]
        read = first[:, None] + np.arange(self.kernel[axis]) * self.dilation[axis]
        return float(np.mean(np.sum((read >= 0) & (read < self.inputs[0].hwc[axis]), axis=1)))

    def windows(self, x: NDArray[np.int64], fill: int) -> NDArray[np.int64]:
        """View `x` [1, H, W, C] as [out_h, out_w, C, kernel_h, kernel_w], padded with `fill`."""
        top, bottom, left, right = self.padding
        padded = np.pad(x[0], ((top, bottom), (left, right), (0, 0)), constant_values=fill)
        spans = np.lib.stride_tricks.sliding_window_view(padded, self.reach, axis=(0, 1))
        view = spans[:: self.stride[0], :: self.stride[1], :, :: self.dilation[0], :: self.dilation[1]]
        return np.asarray(view)

    def float_windows(self, x: Array) -> Array:
        """View `x` [n, H, W, C], padded with zeros, as [n, out_h, out_w, kernel_h, kernel_w, C]."""
        top, bottom, left, right = self.padding
        padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
        spans = np.lib.stride_tricks.sliding_window_view(padded, self.reach, axis=(1, 2))
        view = spans[:, :: self.stride[0], :: self.stride[1], :, :: self.dilation[0], :: self.dilation[1]]
        return view.transpose(0, 1, 2, 4, 5, 3)
