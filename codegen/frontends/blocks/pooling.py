"""Pooling and reductions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np

from driftc.codegen.frontends.blocks.core import Padding, Pair
from driftc.codegen.frontends.blocks.normalization import Normalization
from driftc.codegen.operators.attributes import same_padding
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.abs import Abs
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.exp import Exp
from driftc.codegen.operators.elementwise.log import Log
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.elementwise.squared_difference import SquaredDifference
from driftc.codegen.operators.elementwise.sub import Sub
from driftc.codegen.operators.reduction.average_pool_2d import AveragePool2D
from driftc.codegen.operators.reduction.cumsum import Cumsum
from driftc.codegen.operators.reduction.max_pool_2d import MaxPool2D
from driftc.codegen.operators.reduction.mean import Mean
from driftc.codegen.operators.reduction.reduce_max import ReduceMax
from driftc.codegen.operators.reduction.sum import Sum
from driftc.codegen.operators.resize.resize import LARGEST
from driftc.codegen.tensor import Array, Tensor

MOST_POOLINGS = 16  # that one adaptive pooling becomes
MOST_FACTORS = 32  # of one product
LOWEST = float(np.finfo(np.float32).min)


class Pooling(Normalization):
    """Layers that gather values."""

    def pool(
        self, label: str, x: Tensor, kind: Literal["max", "average"], kernel: Pair, stride: Pair, padding: Padding
    ) -> Tensor:
        """Average pooling never counts what "same" pads; explicit padding is zeros that count."""
        self._need_image(label, x)
        x, around = self._padded(label, x, kernel, stride, (1, 1), padding, LOWEST if kind == "max" else None)
        operator = MaxPool2D if kind == "max" else AveragePool2D
        return self.add(operator, label, x, kernel=kernel, stride=stride, padding=around)

    def adaptive(self, label: str, x: Tensor, kind: Literal["max", "average"], size: Pair) -> Tensor:
        """Windows from floor(i n / m) to ceil((i + 1) n / m) on an axis of n: as few poolings as have equal steps."""
        self._need_image(label, x)
        if not all(0 < n <= LARGEST for n in size):
            self.refuse(f"'{label}': pools to {list(size)}; driftc makes 1 to {LARGEST} of an axis")
        rows, pixels = (_stretches(n, m) for n, m in zip(x.shape[1:3], size, strict=True))
        if len(rows) * len(pixels) > MOST_POOLINGS:
            n, m = (" x ".join(map(str, part)) for part in (x.shape[1:3], size))
            self.refuse(
                f"'{label}': {n} to {m} has windows of {len(rows) * len(pixels)} kinds, which take a pooling each; "
                f"driftc makes up to {MOST_POOLINGS}: pool to a size that divides {n}"
            )
        whole = len(rows) == len(pixels) == 1
        bands: list[Tensor] = []
        for i, band in enumerate(rows):
            parts: list[Tensor] = []
            for j, part in enumerate(pixels):
                name = label if whole else f"{label}/{i}/{j}"
                ranges = [range(1), band.taken, part.taken, range(x.shape[3])]
                kernel, stride = (band.kernel, part.kernel), (band.stride, part.stride)
                parts.append(self.pool(name, self.slice(f"{name}/slice", x, ranges), kind, kernel, stride, "valid"))
            name = label if len(rows) == 1 else f"{label}/{i}"
            bands.append(parts[0] if len(parts) == 1 else self.concat(name, parts, 2))
        return bands[0] if len(bands) == 1 else self.concat(label, bands, 1)

    def power_pool(self, label: str, x: Tensor, order: int, kernel: Pair, stride: Pair, padding: Padding) -> Tensor:
        """The sum of magnitudes of each window, or with `order` 2 the root of the sum of squares."""
        part = self.add(Abs, f"{label}/abs", x) if order == 1 else self.add(Mul, f"{label}/square", x, x)
        mean = self.pool(f"{label}/mean", part, "average", kernel, stride, padding)
        name = label if order == 1 else f"{label}/sum"
        total = self.add(Mul, name, mean, self.constant(f"{label}/count", np.full(1, kernel[0] * kernel[1])))
        return total if order == 1 else self.root(label, total)

    def product(self, label: str, x: Tensor, axes: Sequence[int], keep_dims: bool) -> Tensor:
        """Two at a time."""
        if prod(x.shape[axis] for axis in axes) > MOST_FACTORS:
            self.refuse(f"'{label}': multiplies over {MOST_FACTORS} elements; driftc does so for less")
        for axis in sorted(axes):
            factors = self.split(f"{label}/{axis}", x, [1] * x.shape[axis], axis)
            x = factors[0]
            for number, factor in enumerate(factors[1:], 1):
                x = self.add(Mul, f"{label}/{axis}/{number}", x, factor)
        kept = tuple(n for axis, n in enumerate(x.shape) if axis not in axes)
        return x if keep_dims else self.reshape(label, x, kept)

    def log_sum_exp(self, label: str, x: Tensor, axes: Sequence[int], keep_dims: bool) -> Tensor:
        """log of the sum of e^x, by what is above the largest."""
        largest = self.reduce(ReduceMax, f"{label}/largest", x, axes, keep_dims=True)
        rest = self.add(Exp, f"{label}/exp", self.add(Sub, f"{label}/below", x, largest))
        total = self.add(Log, f"{label}/log", self.reduce(Sum, f"{label}/sum", rest, axes, keep_dims=True))
        y = self.add(Add, label, total, largest)
        kept = tuple(n for axis, n in enumerate(x.shape) if axis not in axes)
        return y if keep_dims else self.reshape(f"{label}/flat", y, kept)

    def reduce(
        self, kind: type[Operator], label: str, x: Tensor, axes: Sequence[int], keep_dims: bool = False
    ) -> Tensor:
        """MEAN, SUM, REDUCE_MAX and the like."""
        return self.add(kind, label, x, axes=tuple(sorted(axes)), keep_dims=keep_dims)

    def cumsum(self, label: str, x: Tensor, axis: int, exclusive: bool = False, reverse: bool = False) -> Tensor:
        """Sums of what stands before each element on an axis, and of itself."""
        return self.add(Cumsum, label, x, axis=axis, exclusive=exclusive, reverse=reverse)

    def arg(self, kind: type[Operator], label: str, x: Tensor, axis: int) -> Tensor:
        """ARG_MAX or ARG_MIN: int32, without the axis. It ends a model."""
        return self.add(kind, label, x, axis=axis, dtype=np.dtype(np.int32))

    def variance(
        self, label: str, x: Tensor, axes: Sequence[int], keep_dims: bool = False, correction: float = 0
    ) -> Tensor:
        """The sum of squares of what is left of `x` without its mean, over n - `correction`."""
        count = prod(x.shape[axis] for axis in axes)
        if count <= correction:
            self.refuse(f"'{label}': the variance of {count} elements with correction {correction:g}")
        mean = self.reduce(Mean, f"{label}/mean", x, axes, keep_dims=True)
        square = self.add(SquaredDifference, f"{label}/square", x, mean)
        y = self.reduce(Mean, f"{label}/uncorrected" if correction else label, square, axes, keep_dims)
        factor = np.full(1, count / (count - correction))
        return self.add(Mul, label, y, self.constant(f"{label}/factor", factor)) if correction else y

    def mean(self, label: str, x: Tensor, axes: Sequence[int], keep_dims: bool) -> Tensor:
        return self.add(Mean, label, x, axes=tuple(sorted(axes)), keep_dims=keep_dims)

    def average_uncounted(self, label: str, x: Tensor, kernel: Pair, stride: Pair, padding: Sequence[Pair]) -> Tensor:
        """Average pooling that leaves `padding` out of the mean.

        A .tflite knows that for SAME alone; else zeros count first, and a constant for each window makes that good.
        """
        axes = list(zip(x.shape[1:3], kernel, stride, padding, strict=True))
        around = (*padding[0], *padding[1])
        if all(pair == same_padding(n, k, s, 1) for n, k, s, pair in axes):
            return self.pool(label, x, "average", kernel, stride, "same")
        counts = [counted(n, k, s, pair) for n, k, s, pair in axes]
        y = self.pool(f"{label}/counted", x, "average", kernel, stride, around)
        share = kernel[0] * kernel[1] / (counts[0][:, np.newaxis] * counts[1])
        return self.add(Mul, label, y, self.constant(f"{label}/share", share[np.newaxis, ..., np.newaxis]))


@dataclass(frozen=True)
class Stretch:
    """Windows of one size at equal steps on one axis."""

    taken: range
    kernel: int
    stride: int


def _stretches(n: int, m: int) -> list[Stretch]:
    """The `m` windows of adaptive pooling over `n`, in as few stretches as come one after another."""
    windows = [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
    found: list[Stretch] = []
    while windows:
        (first, end), count = windows[0], 1
        step = windows[1][0] - first if len(windows) > 1 else 1
        while count < len(windows) and windows[count] == (first + count * step, end + count * step):
            count += 1
        found.append(Stretch(range(first, windows[count - 1][1]), end - first, step if count > 1 else 1))
        windows = windows[count:]
    return found


def counted(size: int, kernel: int, stride: int, padding: Pair) -> Array:
    """How much of each window of one axis is not padding."""
    starts = np.arange(0, size + sum(padding) - kernel + 1, stride) - padding[0]
    return np.asarray(np.minimum(starts + kernel, size) - np.maximum(starts, 0))
