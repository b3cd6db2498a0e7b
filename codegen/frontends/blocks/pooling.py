"""Pooling and reductions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from driftc.codegen.frontends.blocks.core import Padding, Pair
from driftc.codegen.frontends.blocks.movement import Movement
from driftc.codegen.operators.attributes import same_padding
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.elementwise.squared_difference import SquaredDifference
from driftc.codegen.operators.reduction.average_pool_2d import AveragePool2D
from driftc.codegen.operators.reduction.cumsum import Cumsum
from driftc.codegen.operators.reduction.max_pool_2d import MaxPool2D
from driftc.codegen.operators.reduction.mean import Mean
from driftc.codegen.tensor import Array, Tensor

LOWEST = float(np.finfo(np.float32).min)


class Pooling(Movement):
    """Layers that gather values."""

    def pool(
        self, label: str, x: Tensor, kind: Literal["max", "average"], kernel: Pair, stride: Pair, padding: Padding
    ) -> Tensor:
        """Average pooling never counts what "same" pads; explicit padding is zeros that count."""
        self._need_image(label, x)
        x, around = self._padded(label, x, kernel, stride, (1, 1), padding, LOWEST if kind == "max" else None)
        operator = MaxPool2D if kind == "max" else AveragePool2D
        return self.add(operator, label, x, kernel=kernel, stride=stride, padding=around)

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

    def variance(self, label: str, x: Tensor, axes: Sequence[int], keep_dims: bool = False) -> Tensor:
        """The mean square of what is left of `x` without its mean."""
        mean = self.reduce(Mean, f"{label}/mean", x, axes, keep_dims=True)
        return self.reduce(Mean, label, self.add(SquaredDifference, f"{label}/square", x, mean), axes, keep_dims)

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


def counted(size: int, kernel: int, stride: int, padding: Pair) -> Array:
    """How much of each window of one axis is not padding."""
    starts = np.arange(0, size + sum(padding) - kernel + 1, stride) - padding[0]
    return np.asarray(np.minimum(starts + kernel, size) - np.maximum(starts, 0))
