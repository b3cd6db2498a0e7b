"""Normalisation by constants."""

from __future__ import annotations

from typing import Any

import numpy as np

from driftc.codegen.frontends.blocks.core import Core
from driftc.codegen.graph import Array, Tensor
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.normalization.batch_normalization import BatchNormalization


class Normalization(Core):
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
