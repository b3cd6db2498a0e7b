"""Normalisation, by constants and by the sample's own mean and variance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from driftc.codegen.frontends.axes.operands import Operands
from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.div import Div
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.tensor import Array


class Normalization(Operands):
    """Values brought to a scale."""

    def batch_norm(
        self,
        label: str,
        x: Value,
        gamma: Array | None,
        beta: Array | None,
        mean: Array,
        variance: Array,
        epsilon: float,
    ) -> Value:
        """Along axis 1."""
        found = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
        if x.flattened is not None:
            found = {key: None if v is None else x.as_here(v).reshape(-1) for key, v in found.items()}
        else:
            x = self.with_channels_last(label, x)
        values: dict[str, Any] = found
        return replace(x, tensor=self.builder.batch_norm(label, x.tensor, epsilon=epsilon, **values))

    def layer_norm(
        self,
        label: str,
        x: Value,
        axes: Sequence[int],
        gamma: Array | None,
        beta: Array | None,
        epsilon: float,
        centred: bool = True,
    ) -> Value:
        """Over `axes` of the framework; `gamma` and `beta` broadcast in its order."""
        x = self._unflattened(label, x)
        inside = [x.axes[axis % x.rank] for axis in axes]
        y = replace(x, tensor=self.builder.standardized(f"{label}/standard", x.tensor, inside, epsilon, centred))
        return self._scaled(label, y, gamma, beta)

    def group_norm(
        self, label: str, x: Value, groups: int, gamma: Array | None, beta: Array | None, epsilon: float
    ) -> Value:
        """Over groups of axis 1; `gamma` and `beta` [C]."""
        x = self.with_channels_last(label, x)
        y = replace(x, tensor=self.builder.group_norm(f"{label}/standard", x.tensor, groups, epsilon))
        shape = (-1, *(1,) * (x.rank - 2))
        parts = [None if part is None else part.reshape(shape) for part in (gamma, beta)]
        return self._scaled(label, y, parts[0], parts[1])

    def unit(self, label: str, x: Value, axis: int, order: int) -> Value:
        """Over the norm along `axis`, of `order` 1 or 2."""
        x = self._unflattened(label, x)
        here = x.axes[axis % x.rank]
        if order == 2:
            return replace(x, tensor=self.builder.unit(label, x.tensor, [here], 1e-12))
        norm = self.builder.norm(f"{label}/norm", x.tensor, [here], True, order)
        return replace(x, tensor=self.builder.binary(label, Div, x.tensor, norm))

    def _scaled(self, label: str, x: Value, gamma: Array | None, beta: Array | None) -> Value:
        if gamma is not None and np.any(gamma != 1):
            x = self.binary_constant(f"{label}/gamma", Mul, x, gamma, first=False)
        if beta is not None and np.any(beta != 0):
            x = self.binary_constant(f"{label}/beta", Add, x, beta, first=False)
        return x
