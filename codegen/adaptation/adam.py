"""Adam (Kingma and Ba, 2015) with a cosine decay, on TensorFlow's variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from driftc.codegen.adaptation.network import tensorflow


class Adam:
    """Moments of `variables`; `apply` moves them."""

    def __init__(self, variables: Sequence[Any]) -> None:
        self.variables, self._tf = list(variables), tensorflow()
        self._moments = [(self._zeros(v), self._zeros(v)) for v in self.variables]

    def apply(self, gradients: Sequence[Any], rate: Any, number: Any) -> None:
        """`number` counts from 1."""
        for variable, gradient, (first, second) in zip(self.variables, gradients, self._moments, strict=True):
            first.assign(0.9 * first + 0.1 * gradient)
            second.assign(0.999 * second + 0.001 * gradient**2)
            scaled = first / (1 - 0.9**number) / (self._tf.sqrt(second / (1 - 0.999**number)) + 1e-8)
            variable.assign_sub(rate * scaled)

    def _zeros(self, variable: Any) -> Any:
        return self._tf.Variable(self._tf.zeros_like(variable))


def cosine(rate: float, number: int, steps: int) -> float:
    """The learning rate of step `number` of `steps`, from 0."""
    return float(rate * 0.5 * (1 + np.cos(np.pi * number / steps)))
