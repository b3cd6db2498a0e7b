"""The layers that learn, and what lies between them and the samples."""

from __future__ import annotations

from dataclasses import dataclass

from driftc.codegen.operators.attributes import Activation
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.learn.trained_conv import Convolution
from driftc.codegen.operators.reduction.average_pool_2d import AveragePool2D
from driftc.codegen.operators.reduction.mean import Mean
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


def averages_all(operator: Operator) -> bool:
    """Whether every point of its input has the same share of its output, one value a channel, without a clamp."""
    if isinstance(operator, Mean):
        return operator.by_channel
    if not isinstance(operator, AveragePool2D) or operator.activation is not Activation.NONE:
        return False
    whole = operator.outputs[0].hwc[:2] == (1, 1) and not any(operator.padding)
    return whole and operator.kernel == operator.inputs[0].hwc[:2]
