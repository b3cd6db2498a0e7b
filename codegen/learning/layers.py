"""The layers that learn, and what lies between them and the samples."""

from __future__ import annotations

from dataclasses import dataclass

from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.learn.trained_conv import Convolution
from driftc.codegen.tensor import Tensor


@dataclass(frozen=True, eq=False)
class Tail:
    """`layers` are trained with `dense`; `live` is all that depends on them, up to `dense`, in program order.

    `sample` is what is stored of a sample: the model's input, or what the tail reads; `frozen` computes the latter
    from it.
    """

    dense: FullyConnected
    layers: tuple[Convolution, ...]
    live: tuple[Operator, ...]
    sample: Tensor
    frozen: tuple[Operator, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the layers."""
        return tuple(layer.name for layer in self.layers)

    @property
    def at_input(self) -> bool:
        """The model's inputs are stored."""
        return bool(self.frozen)
