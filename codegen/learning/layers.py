"""The layers that learn, and what lies between them and the samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np

from driftc.codegen.operators.adapt.adapt_affine import AdaptAffine
from driftc.codegen.operators.adapt.live import Live
from driftc.codegen.operators.attributes import Activation
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.learn.trained_conv import Convolution
from driftc.codegen.operators.reduction.average_pool_2d import AveragePool2D
from driftc.codegen.operators.reduction.max_pool_2d import MaxPool2D
from driftc.codegen.operators.reduction.mean import Mean
from driftc.codegen.tensor import Quantization, Tensor


@dataclass(frozen=True, eq=False)
class Normalised:
    """A live layer: `producer`, a convolution with statistics, whose values `affine` normalises. Its gains and offsets
    are learnt, its weights stay as they are.
    """

    producer: Convolution
    affine: AdaptAffine

    @property
    def name(self) -> str:
        return self.producer.name

    @property
    def label(self) -> str:
        return self.producer.label

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return self.producer.inputs

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        return self.affine.outputs

    @property
    def channels(self) -> int:
        return self.producer.channels

    def refuse(self, problem: str) -> NoReturn:
        self.producer.refuse(problem)


Learnt = Convolution | Normalised


@dataclass(frozen=True, eq=False)
class Tail:
    """`layers` are trained with `dense`; `live` is all that depends on them, up to `dense`, in program order.

    `sample` is what is stored of a sample: the model's input, or what the tail reads; `frozen` computes the latter
    from it.
    """

    dense: FullyConnected
    layers: tuple[Learnt, ...]
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


def clamp_of(operator: Operator) -> tuple[int, int] | None:
    """The bounds, exclusive, within which the first output was not clamped; None: it never is.

    What equals a bound counts as clamped: from int8 alone nobody can tell which of the two it was.
    """
    y = operator.outputs[0]
    if isinstance(operator, AdaptAffine):
        return operator.bounds
    if isinstance(operator, Live) and y.dtype == np.int32:
        return None
    if isinstance(operator, Conv2D | DepthwiseConv2D | FullyConnected | Add):
        return operator.range
    if isinstance(operator, AveragePool2D | MaxPool2D):  # they give no value beyond those that they read
        clamps = operator.activation is not Activation.NONE or operator.bounds is not None
        return operator.range if clamps else None
    if isinstance(operator, Mean):
        x = operator.inputs[0]
        low, high = ((end - x.zero_point) * float(x.scale) / float(y.scale) + y.zero_point for end in (-128, 127))
        bounds = (-128 if low < -128.5 else -129, 127 if high >= 127.5 else 128)
        return None if bounds == (-129, 128) else bounds
    return None


def as_convolution(layer: Convolution | FullyConnected) -> Convolution:
    """A dense layer as the convolution of 1x1 over its rows that gives the same sums."""
    if not isinstance(layer, FullyConnected):
        return layer
    length, weights = layer.weights.shape[1], layer.weights
    assert weights.data is not None
    scales = weights.quantization
    assert scales is not None
    shaped = replace(
        weights,
        shape=(layer.channels, 1, 1, length),
        data=weights.data.reshape(layer.channels, 1, 1, length),
        quantization=Quantization(scales.scale, scales.zero_point, None if scales.axis is None else 0),
    )
    return Conv2D(
        name=layer.name, label=layer.label, inputs=(replace(layer.inputs[0], shape=(1, 1, layer.rows, length)),),
        outputs=(replace(layer.outputs[0], shape=(1, 1, layer.rows, layer.channels)),), weights=shaped,
        bias=layer.bias, activation=layer.activation, bounds=layer.bounds,
    )  # fmt: skip


def part(state: Tensor) -> str:
    """What a state of `trainable` is."""
    return state.name.rsplit("/", 1)[-1]
