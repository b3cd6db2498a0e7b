"""Normalisation by constants."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from driftc.codegen.frontends.blocks.movement import Movement
from driftc.codegen.operators.elementwise.abs import Abs
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.maximum import Maximum
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.elementwise.rsqrt import Rsqrt
from driftc.codegen.operators.elementwise.squared_difference import SquaredDifference
from driftc.codegen.operators.elementwise.sub import Sub
from driftc.codegen.operators.normalization.batch_normalization import BatchNormalization
from driftc.codegen.operators.normalization.l2_normalization import L2Normalization
from driftc.codegen.operators.reduction.mean import Mean
from driftc.codegen.operators.reduction.sum import Sum
from driftc.codegen.tensor import Array, Tensor


class Normalization(Movement):
    """Layers that bring values to a scale."""

    def batch_norm(
        self,
        label: str,
        x: Tensor,
        *,
        gamma: Array | None,
        beta: Array | None,
        mean: Array,
        variance: Array,
        epsilon: float,
    ) -> Tensor:
        channels = x.shape[-1]
        found = {
            "gamma": np.ones(channels) if gamma is None else gamma,
            "beta": np.zeros(channels) if beta is None else beta,
            "mean": mean,
            "variance": variance,
        }
        values: dict[str, Any] = {key: np.asarray(array, np.float32).reshape(-1) for key, array in found.items()}
        return self.add(BatchNormalization, label, x, **values, epsilon=float(epsilon))

    def affine(self, label: str, x: Tensor, scale: Array, offset: Array) -> Tensor:
        """scale * x + offset with constants, by operators of their own."""
        if np.any(scale != 1):
            x = self.add(Mul, f"{label}/scale", x, self.constant(f"{label}/factor", scale))
        if np.any(offset != 0):
            x = self.add(Add, label, x, self.constant(f"{label}/offset", offset))
        return x

    def standardized(self, label: str, x: Tensor, axes: Sequence[int], epsilon: float, centred: bool = True) -> Tensor:
        """(x - mean) / sqrt(variance + epsilon) over `axes`; not `centred`: x over the root of its mean square."""
        given: dict[str, Any] = {"axes": tuple(sorted(axes)), "keep_dims": True}
        part = x
        if centred:
            mean = self.add(Mean, f"{label}/mean", x, **given)
            part = self.add(Sub, f"{label}/centred", x, mean)
            square = self.add(SquaredDifference, f"{label}/square", x, mean)
        else:
            square = self.add(Mul, f"{label}/square", x, x)
        variance = self.add(Mean, f"{label}/variance", square, **given)
        floor = self.constant(f"{label}/epsilon", np.full(1, epsilon))
        factor = self.add(Rsqrt, f"{label}/factor", self.add(Add, f"{label}/above_0", variance, floor))
        return self.add(Mul, label, part, factor)

    def unit(self, label: str, x: Tensor, axes: Sequence[int], smallest: float) -> Tensor:
        """x over the root of its sum of squares, which is at least `smallest`."""
        if list(axes) == [len(x.shape) - 1] and smallest <= 1e-10:
            return self.add(L2Normalization, label, x)
        _, factor = self._over_root(label, self._squares(label, x, axes, True), smallest)
        return self.add(Mul, label, x, factor)

    def norm(self, label: str, x: Tensor, axes: Sequence[int], keep_dims: bool, order: int = 2) -> Tensor:
        """The root of the sum of squares; with `order` 1, the sum of magnitudes."""
        if order == 1:
            magnitude = self.add(Abs, f"{label}/abs", x)
            return self.add(Sum, label, magnitude, axes=tuple(sorted(axes)), keep_dims=keep_dims)
        return self.root(label, self._squares(label, x, axes, keep_dims))

    def root(self, label: str, x: Tensor) -> Tensor:
        """As x / sqrt(x): TFLite Micro has no SQRT in int8, but RSQRT."""
        return self.add(Mul, label, *self._over_root(label, x, 1e-12))

    def _squares(self, label: str, x: Tensor, axes: Sequence[int], keep_dims: bool) -> Tensor:
        square = self.add(Mul, f"{label}/square", x, x)
        return self.add(Sum, f"{label}/sum", square, axes=tuple(sorted(axes)), keep_dims=keep_dims)

    def _over_root(self, label: str, x: Tensor, smallest: float) -> tuple[Tensor, Tensor]:
        """`x`, at least `smallest`, and one over its root."""
        floor = self.constant(f"{label}/smallest", np.full(1, smallest))
        x = self.add(Maximum, f"{label}/above_0", x, floor)
        return x, self.add(Rsqrt, f"{label}/factor", x)

    def group_norm(self, label: str, x: Tensor, groups: int, epsilon: float) -> Tensor:
        """`standardized` over each of `groups` of the last axis, and over all axes between it and the batch."""
        if x.shape[-1] % groups:
            self.refuse(f"'{label}': {x.shape[-1]} channels are not {groups} groups")
        inner = prod(x.shape[1:-1])
        split = self.reshape(f"{label}/groups", x, (1, inner, groups, x.shape[-1] // groups))
        return self.reshape(f"{label}/joined", self.standardized(label, split, (1, 3), epsilon), x.shape)
