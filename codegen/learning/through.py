"""A step of learning in a tail: forward by the masters, and errors backward to the convolutions that learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.errors import UsageError
from driftc.codegen.learning.fixed import mantissas
from driftc.codegen.learning.layers import Tail, averages_all
from driftc.codegen.learning.lesson import Lesson
from driftc.codegen.learning.trainable import row_scales
from driftc.codegen.names import Names
from driftc.codegen.operators.attributes import Activation
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.learn.conv_gradient import ConvGradient, NormalizedErrors
from driftc.codegen.operators.learn.conv_update import LARGEST_EXPONENT, MOST_SHIFT, ConvUpdate
from driftc.codegen.operators.learn.cross_entropy import ONE
from driftc.codegen.operators.learn.dense_gradient import DenseGradient
from driftc.codegen.operators.learn.hold_errors import LARGEST_HOLD, HoldErrors
from driftc.codegen.operators.learn.joined_errors import JoinedErrors
from driftc.codegen.operators.learn.master_sums import BIAS_FRACTION, FRACTION
from driftc.codegen.operators.learn.master_weights import MasterWeights
from driftc.codegen.operators.learn.pool_gradient import PoolGradient
from driftc.codegen.operators.learn.trained_conv import Convolution, TrainedConv
from driftc.codegen.operators.reduction.average_pool_2d import AveragePool2D
from driftc.codegen.operators.reduction.max_pool_2d import MaxPool2D
from driftc.codegen.tensor import Tensor

Parts = Mapping[str, Tensor]
WIDEST = 1 << 14  # of a layer's rates, the largest by the smallest: a channel beyond learns more slowly


@dataclass(frozen=True)
class Errors:
    """The loss by the steps of a tensor: `unit` times int16 errors times 2^exponent.

    Where all of a map's pixels have the same, one each channel. An error counts where each of `maps`, of the tensor's
    shape, is strictly within its bounds.
    """

    values: Tensor
    exponent: Tensor
    unit: float
    maps: tuple[tuple[Tensor, int, int], ...] = ()

    def through(self, operator: Operator, factor: float = 1.0) -> Errors:
        """At an input of `operator`, of which a step is `factor` steps of the output, up to its clamp."""
        assert isinstance(operator, Conv2D | DepthwiseConv2D | Add | AveragePool2D | MaxPool2D)
        clamped = operator.activation is not Activation.NONE or operator.bounds is not None
        more = ((operator.outputs[0], *operator.range),) if clamped else ()
        return replace(self, unit=self.unit * factor, maps=(*self.maps, *more))


def forward(tail: Tail, states: Parts, names: Names) -> list[Operator]:
    """The tail, by the weights that the masters stand for."""
    found: list[Operator] = []
    for operator in tail.live:
        if operator not in tail.layers:
            found.append(operator)
            continue
        assert isinstance(operator, Conv2D | DepthwiseConv2D)
        w, b = (states[f"{operator.name} {part}"] for part in ("weights", "bias"))
        masters, bias = (states[f"{operator.name} {part}"] for part in ("masters", "bias masters"))
        weights, biases = replace(w, name=f"{w.name} now"), replace(b, name=f"{b.name} now")
        found += [
            MasterWeights(
                name=names.unique(f"{operator.name}_of_masters"), label=operator.label, inputs=(masters, bias),
                outputs=(weights, biases),
            ),
            TrainedConv(
                name=operator.name, label=operator.label, index=operator.index, layer=operator,
                inputs=(operator.inputs[0], weights, biases), outputs=operator.outputs,
            ),
        ]  # fmt: skip
    return found


def backward_through(
    tail: Tail, lesson: Lesson, gradient: Tensor, label: Tensor, states: Parts, names: Names
) -> tuple[list[Operator], dict[str, Tensor]]:
    """From the gradient at the dense layer's sums, operators that move the masters; what each of these becomes."""
    dense, masters = tail.dense, states["masters"]
    classes = masters.shape[0]
    rows = row_scales(dense, classes)
    x = dense.inputs[0]
    values = Tensor("learn/errors", (1, x.size), np.dtype(np.int16), label="errors")
    exponent = Tensor("learn/exponent", (1,), np.dtype(np.int32), label="exponent")
    operators: list[Operator] = [
        DenseGradient(
            name=names.unique("errors"), label="errors", inputs=(gradient, masters), outputs=(values, exponent),
            scale=np.rint(rows / rows.max() * ONE).astype(np.int32),
        )
    ]  # fmt: skip
    at = {x.name: Errors(values, exponent, float(x.scale) * float(rows.max()) / ONE)}
    learnt = {tensor.name for operator in tail.live for tensor in operator.outputs}

    def reach(tensor: Tensor, errors: Errors) -> None:
        """Errors that one reader of `tensor` has; readers come before what computes it."""
        if tensor.name in at:
            more, errors = _joined(tensor, at[tensor.name], errors, names)
            operators.extend(more)
        if tensor.name in learnt:
            at[tensor.name] = errors

    updates: list[Operator] = []
    following: dict[str, Tensor] = {}
    for operator in reversed(tail.live):
        errors = at.get(operator.outputs[0].name)
        if errors is None:
            continue
        source = operator.inputs[0]
        if isinstance(operator, Conv2D | DepthwiseConv2D):
            if lesson.hold:  # of a single layer
                more, errors = _held(operator, errors, lesson, label, names)
                operators += more
            errors = errors.through(operator)
            own = {part: states[f"{operator.name} {part}"] for part in ("masters", "bias masters")}
            after = {part: replace(tensor, name=f"{tensor.name} next") for part, tensor in own.items()}
            following |= {f"{operator.name} {part}": tensor for part, tensor in after.items()}
            rate = lesson.rates[lesson.layers.index(operator.name)]
            updates.append(_update(operator, errors, rate, own, after, names))
            if source.name in learnt:
                now = states[f"{operator.name} weights"]
                more, errors = _taken_back(operator, errors, replace(now, name=f"{now.name} now"), names)
                operators += more
                reach(source, errors)
        elif averages_all(operator):
            height, width, _ = source.hwc
            factor = float(source.scale) / float(operator.outputs[0].scale) / (height * width)
            reach(source, replace(errors, unit=errors.unit * factor))
        elif isinstance(operator, AveragePool2D | MaxPool2D):
            more, errors = _unpooled(operator, errors.through(operator), names)
            operators += more
            reach(source, errors)
        elif isinstance(operator, Add):
            for tensor in operator.inputs:
                reach(tensor, errors.through(operator, float(tensor.scale) / float(operator.outputs[0].scale)))
        else:
            reach(source, errors)
    return operators + updates, following


def _held(
    layer: Convolution, errors: Errors, lesson: Lesson, label: Tensor, names: Names
) -> tuple[list[Operator], Errors]:
    """The layer as compiled, and the errors with what holds its output to what that gives."""
    (y,) = layer.outputs
    before = replace(y, name=f"{y.name} compiled")
    compiled = replace(layer, name=names.unique(f"{layer.name}_compiled"), outputs=(before,))
    values = Tensor("learn/held errors", y.shape, np.dtype(np.int16), label="held errors")
    exponent = Tensor("learn/held exponent", (1,), np.dtype(np.int32), label="held exponent")
    real = 2 * lesson.hold * float(y.scale) ** 2 / errors.unit
    shift = min(max(15 - int(np.frexp(real)[1]), 1), 46)
    hold = round(real * 2.0**shift)
    if not 0 < hold <= LARGEST_HOLD:
        raise UsageError(
            f"--learn-hold {lesson.hold:g}: out of range for the scales of layer '{layer.label or layer.name}'"
        )
    held = np.zeros(layer.channels, np.int8)
    held[list(lesson.held)] = 1
    made = HoldErrors(
        name=names.unique("held"), label="held",
        inputs=(errors.values, errors.exponent, y, before, label, *(tensor for tensor, _, _ in errors.maps)),
        outputs=(values, exponent), live=tuple((low, high) for _, low, high in errors.maps), held=held,
        hold=hold, shift=shift,
    )  # fmt: skip
    made.check()
    return [compiled, made], Errors(values, exponent, errors.unit)


def _taken_back(layer: Convolution, errors: Errors, weights: Tensor, names: Names) -> tuple[list[Operator], Errors]:
    """Errors at the input of `layer`."""
    x, real = layer.inputs[0], np.broadcast_to(layer.real_multiplier, (layer.channels,))
    sums = Tensor(f"learn/sums before {layer.name}", x.shape, np.dtype(np.int32), label="sums")
    gradient = ConvGradient(
        name=names.unique(f"{layer.name}_gradient"), label=layer.label,
        inputs=(errors.values, weights, *(tensor for tensor, _, _ in errors.maps)), outputs=(sums,), layer=layer,
        live=tuple((low, high) for _, low, high in errors.maps),
        scale=np.rint(real / real.max() * ONE).astype(np.int32),
    )  # fmt: skip
    return _normalized(gradient, errors.exponent, errors.unit * float(real.max()), names)


def _unpooled(pool: AveragePool2D | MaxPool2D, errors: Errors, names: Names) -> tuple[list[Operator], Errors]:
    """Errors at the input of `pool`."""
    x = pool.inputs[0]
    sums = Tensor(f"learn/sums before {pool.name}", x.shape, np.dtype(np.int32), label="sums")
    read = (x,) if isinstance(pool, MaxPool2D) else ()
    gradient = PoolGradient(
        name=names.unique(f"{pool.name}_gradient"), label=pool.label,
        inputs=(errors.values, *read, *(tensor for tensor, _, _ in errors.maps)), outputs=(sums,), pool=pool,
        live=tuple((low, high) for _, low, high in errors.maps),
    )  # fmt: skip
    return _normalized(gradient, errors.exponent, errors.unit * gradient.unit, names)


def _joined(tensor: Tensor, first: Errors, second: Errors, names: Names) -> tuple[list[Operator], Errors]:
    """The sum of the errors that two readers of `tensor` have."""
    unit = max(first.unit, second.unit)
    name = names.unique("joined")
    sums = Tensor(f"learn/{name} sums", tensor.shape, np.dtype(np.int32), label="sums")
    exponent = Tensor(f"learn/{name} exponent of sums", (1,), np.dtype(np.int32), label="exponent")
    join = JoinedErrors(
        name=name, label="joined errors",
        inputs=(
            first.values, first.exponent, second.values, second.exponent,
            *(at for at, _, _ in (*first.maps, *second.maps)),
        ),
        outputs=(sums, exponent), shape=tensor.shape,
        live=(
            tuple((low, high) for _, low, high in first.maps), tuple((low, high) for _, low, high in second.maps),
        ),
        scale=(round(first.unit / unit * ONE), round(second.unit / unit * ONE)),
    )  # fmt: skip
    return _normalized(join, exponent, unit / ONE, names)


def _normalized(operator: Operator, exponent: Tensor, unit: float, names: Names) -> tuple[list[Operator], Errors]:
    """`operator`, which gives sums, and these as errors."""
    sums = operator.outputs[0]
    values = replace(sums, name=f"{sums.name} as errors", dtype=np.dtype(np.int16), label="errors")
    after = replace(exponent, name=f"{sums.name} exponent", label="exponent")
    made = NormalizedErrors(
        name=names.unique(f"{operator.name}_errors"), label=operator.label, inputs=(sums, exponent),
        outputs=(values, after),
    )  # fmt: skip
    operator.check()
    made.check()
    return [operator, made], Errors(values, after, unit)


def _update(layer: Convolution, errors: Errors, rate: float, own: Parts, after: Parts, names: Names) -> ConvUpdate:
    maps = [tensor for tensor, _, _ in errors.maps]
    values = rates_of(layer, errors, rate)
    made = ConvUpdate(
        name=names.unique(f"{layer.name}_update"), label=layer.label,
        inputs=(own["masters"], own["bias masters"], layer.inputs[0], errors.values, errors.exponent, *maps),
        outputs=(after["masters"], after["bias masters"]), layer=layer,
        live=tuple((low, high) for _, low, high in errors.maps),
        rate=values[0], shift=values[1], bias_rate=values[2], bias_shift=values[3], slope=slopes(layer, errors),
    )  # fmt: skip
    made.check()
    return made


def slopes(layer: Convolution, errors: Errors) -> NDArray[np.float64]:
    """What a unit of an error, times a step of the input, is of the loss by a real weight of each channel."""
    scales = np.broadcast_to(layer.quantization.scale.astype(np.float64), (layer.channels,))
    real = np.broadcast_to(layer.real_multiplier, (layer.channels,))
    return np.asarray(errors.unit * real / scales, np.float64)


def rates_of(layer: Convolution, errors: Errors, rate: float) -> tuple[NDArray[np.int32], int, NDArray[np.int32], int]:
    """CONV_UPDATE's constants for a learning rate of real weights; of 0 nothing is learnt.

    Raises UsageError where it is out of range.
    """
    if rate == 0:
        none = np.zeros(layer.channels, np.int32)
        return none, MOST_SHIFT, none, MOST_SHIFT
    scales = np.broadcast_to(layer.quantization.scale.astype(np.float64), (layer.channels,))
    slope, unit = slopes(layer, errors), float(layer.inputs[0].scale)
    try:
        weights = mantissas(_within(rate * slope / scales * 2.0**FRACTION), MOST_SHIFT)
        biases = mantissas(_within(rate * slope / scales / unit**2 * 2.0**BIAS_FRACTION), MOST_SHIFT)
    except ValueError:
        weights = biases = (np.zeros(0, np.int32), 0)
    if min(weights[1], biases[1]) <= LARGEST_EXPONENT:
        raise UsageError(f"--learn-rate: out of range for the scales of layer '{layer.label or layer.name}'")
    return (*weights, *biases)


def _within(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.minimum(rates, rates.min() * WIDEST), np.float64)
