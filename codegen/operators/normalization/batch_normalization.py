"""BATCH_NORMALIZATION: out[..., c] = gamma[c] * (in[..., c] - mean[c]) / sqrt(variance[c] + epsilon) + beta[c]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.operators.base import Operator
from driftc.codegen.tensor import Array, Shape

Channels = NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class BatchNormalization(Operator):
    """Per channel of the last axis, with the statistics of training. Float only: `fold` makes other operators of it."""

    gamma: Channels
    beta: Channels
    mean: Channels
    variance: Channels
    epsilon: float

    @property
    def kind(self) -> str:
        return "BATCH_NORMALIZATION"

    @property
    def scale(self) -> NDArray[np.float64]:
        """out = scale * in + offset."""
        return self.gamma / np.sqrt(self.variance.astype(np.float64) + self.epsilon)

    @property
    def offset(self) -> NDArray[np.float64]:
        return np.asarray(self.beta - self.scale * self.mean, np.float64)

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape,)

    def check(self) -> None:
        self.refuse("is left in a quantised model; it must be folded before")

    def check_float(self) -> None:
        super().check_float()
        channels = self.inputs[0].shape[-1]
        for name in ("gamma", "beta", "mean", "variance"):
            values = getattr(self, name)
            if values.shape != (channels,):
                self.refuse(f"{name} has shape {list(values.shape)} for {channels} channels")
            if not np.all(np.isfinite(values)):
                self.refuse(f"{name} holds NaN or infinite values")
        if np.any(self.variance.astype(np.float64) + self.epsilon <= 0):
            self.refuse(
                f"channel {int(np.argmin(self.variance))}: variance plus epsilon {self.epsilon:g} is not positive"
            )

    def summary(self) -> str:
        return "batch normalisation"

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (np.asarray(inputs[0] * self.scale.astype(np.float32) + self.offset.astype(np.float32)),)
