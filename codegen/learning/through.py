"""A step of learning in a tail: forward by the masters, and errors backward to the layers that learn.

Between these lie frozen ones: errors flow through them by their int8 weights, and stop where a value was clamped. Of a
live layer the multipliers of the sample are taken as constants: gradients through its statistics gained nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from driftc.codegen.errors import UsageError
from driftc.codegen.learning.layers import Learnt, Normalised, Tail, as_convolution, averages_all, clamp_of
from driftc.codegen.learning.lesson import Lesson
from driftc.codegen.learning.rates import norm_rates, norm_slopes, rates_of, slopes
from driftc.codegen.learning.trainable import row_scales, trained
from driftc.codegen.names import Names
from driftc.codegen.operators.adapt.adapt_affine import AdaptAffine
from driftc.codegen.operators.adapt.adapt_kernel import OUTPUT_FRACTION
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.learn.conv_gradient import ConvGradient, NormalizedErrors
from driftc.codegen.operators.learn.conv_update import ConvUpdate
from driftc.codegen.operators.learn.cross_entropy import ONE
from driftc.codegen.operators.learn.dense_gradient import DenseGradient
from driftc.codegen.operators.learn.errors import FACTOR, ErrorsThrough, factors
from driftc.codegen.operators.learn.hold_errors import LARGEST_HOLD, HoldErrors
from driftc.codegen.operators.learn.joined_errors import JoinedErrors
from driftc.codegen.operators.learn.masks import Bounds, Live, LiveBits
from driftc.codegen.operators.learn.master_weights import MasterWeights
from driftc.codegen.operators.learn.norm_update import NormUpdate
from driftc.codegen.operators.learn.pool_gradient import PoolGradient
from driftc.codegen.operators.learn.trained_conv import Convolution, filters_of
from driftc.codegen.operators.reduction.average_pool_2d import AveragePool2D
from driftc.codegen.operators.reduction.max_pool_2d import MaxPool2D
from driftc.codegen.tensor import Tensor

Parts = Mapping[str, Tensor]
INT8, INT16, INT32 = np.dtype(np.int8), np.dtype(np.int16), np.dtype(np.int32)
USUAL = 18  # bits by which multipliers of live layers are shifted down about, so that exponents stay near 0


@dataclass(frozen=True)
class Errors:
    """The loss by the steps of a tensor: `unit` times int16 errors times 2^exponent.

    Where all of a map's pixels have the same, one each channel. Each of `masks`, of the tensor's shape, says by its
    bounds which errors count (operators/learn/masks.py).
    """

    values: Tensor
    exponent: Tensor
    unit: float
    masks: tuple[tuple[Tensor, Bounds], ...] = ()

    @property
    def maps(self) -> tuple[Tensor, ...]:
        return tuple(tensor for tensor, _ in self.masks)

    @property
    def live(self) -> Live:
        return tuple(bounds for _, bounds in self.masks)


class Through:
    """`forward`: the tail by the weights that masters stand for, with the bits of its maps. `operators`: from the
    gradient at the dense layer's sums what takes errors back and moves the masters; `following`: what these become.
    """

    def __init__(
        self, tail: Tail, lesson: Lesson, states: Parts, gradient: Tensor, label: Tensor, names: Names
    ) -> None:
        self._tail, self._lesson, self._states, self._label, self._names = tail, lesson, states, label, names
        self._learns: dict[str, Learnt] = {
            (layer.affine if isinstance(layer, Normalised) else layer).name: layer for layer in tail.layers
        }
        self._moved = self._depending()
        self._now: dict[str, Tensor] = {}  # by a tensor of the tail that a learnt one takes the place of
        self._bits: dict[str, LiveBits] = {}  # by the operator whose output they are of
        self._updates: list[Operator] = []
        self._at: dict[str, Errors] = {}
        self.following: dict[str, Tensor] = {}
        made = [self._forward(operator) for operator in tail.live]
        self.operators: list[Operator] = []
        self._back(gradient)
        self.operators += self._updates
        self.forward: list[Operator] = []
        for operator, some in zip(tail.live, made, strict=True):
            self.forward += [*some, *(bits for name, bits in self._bits.items() if name == operator.name)]

    def _depending(self) -> set[str]:
        """Tensors that depend on what is learnt: errors flow there."""
        moved: set[str] = set()
        for operator in self._tail.live:
            if operator.name in self._learns or any(tensor.name in moved for tensor in operator.inputs):
                moved |= {tensor.name for tensor in operator.outputs}
        return moved

    # --- forward ---

    def _forward(self, operator: Operator) -> list[Operator]:
        layer = self._learns.get(operator.name)
        if layer is None:
            return [operator]
        w, b, masters, bias = self._parts(layer)
        now = replace(w, name=f"{w.name} now"), replace(b, name=f"{b.name} now")
        made = MasterWeights(
            name=self._names.unique(f"{layer.name}_of_masters"), label=layer.label, inputs=(masters, bias), outputs=now
        )
        return [made, *trained(layer, *now)]

    def _parts(self, layer: Learnt) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        w, b, m, n = (self._states[f"{layer.name} {part}"] for part in ("weights", "bias", "masters", "bias masters"))
        return w, b, m, n

    def _weights_now(self, layer: Learnt) -> Tensor:
        weights = self._states[f"{layer.name} weights"]
        return replace(weights, name=f"{weights.name} now")

    # --- which errors count ---

    def _masked(self, operator: Operator, errors: Errors, factor: float = 1.0) -> Errors:
        """At what is clamped to the output of `operator`, a step of which is `factor` steps of the output."""
        y, bounds = operator.outputs[0], clamp_of(operator)
        found = replace(errors, unit=errors.unit * factor)
        if bounds is None:
            return found
        if y.dtype == INT8 and self._is_kept(y):
            return replace(found, masks=(*found.masks, (y, bounds)))
        if operator.name not in self._bits:
            bits = Tensor(f"{y.name} live", (-(-y.size // 8),), INT8, label=f"{y.label or y.name}/live")
            name = self._names.unique(f"{operator.name}_live")
            self._bits[operator.name] = LiveBits(
                name=name, label=operator.label, inputs=(y,), outputs=(bits,), bounds=bounds
            )
        return replace(found, masks=(*found.masks, (self._bits[operator.name].outputs[0], None)))

    def _is_kept(self, map: Tensor) -> bool:
        """It is there until the end anyway: what learns reads it, or pooling for its largest, or it is the last."""
        for operator in self._tail.live:
            reads = any(tensor.name == map.name for tensor in operator.inputs)
            layer = self._learns.get(operator.name)
            if reads and (isinstance(operator, MaxPool2D) or averages_all(operator)):
                return True
            if reads and layer is not None and not isinstance(layer, Normalised):
                return True
            if isinstance(layer, Normalised) and map.name == operator.outputs[0].name:
                return True
        return map.name in {tensor.name for tensor in self._lasting}

    @property
    def _lasting(self) -> list[Tensor]:
        """What the dense layer reads, behind and before changes of shape; and what is held."""
        found = [self._tail.dense.inputs[0]]
        for operator in reversed(self._tail.live):
            if operator.view and operator.outputs[0].name == found[-1].name:
                found.append(operator.inputs[0])
        return [*found, *(self._tail.layers[0].outputs if self._lesson.hold else ())]

    # --- backward ---

    def _back(self, gradient: Tensor) -> None:
        dense, masters = self._tail.dense, self._states["masters"]
        rows, x = row_scales(dense, masters.shape[0]), dense.inputs[0]
        values = Tensor("learn/errors", (1, x.size), INT16, label="errors")
        exponent = Tensor("learn/exponent", (1,), INT32, label="exponent")
        self._add(
            DenseGradient, "errors", "errors", (gradient, masters), (values, exponent),
            scale=np.rint(rows / rows.max() * ONE).astype(np.int32),
        )  # fmt: skip
        self._at[x.name] = Errors(values, exponent, float(x.scale) * float(rows.max()) / ONE)
        for operator in reversed(self._tail.live):
            errors = self._at.get(operator.outputs[0].name)
            if errors is not None:
                self._one(operator, errors)

    def _one(self, operator: Operator, errors: Errors) -> None:
        """`errors` at its output, to what it reads."""
        layer = self._learns.get(operator.name)
        source = operator.inputs[0]
        if layer is not None and self._lesson.hold:  # of a single layer
            errors = self._held(layer, operator, errors)
        if isinstance(operator, AdaptAffine):
            errors = self._masked(operator, errors)
            multiplier = operator.inputs[1]
            if isinstance(layer, Normalised):
                self._learn_norm(layer, errors)
                multiplier = trained(layer, *self._parts(layer)[:2])[0].outputs[0]
            if source.name in self._moved:
                self._reach(source, self._affine(operator, multiplier, errors))
        elif isinstance(operator, Conv2D | DepthwiseConv2D | FullyConnected):
            errors = self._masked(operator, errors)
            if layer is not None and not isinstance(layer, Normalised):
                self._learn(layer, errors)
            if source.name in self._moved:
                weights = None if layer is None else self._weights_now(layer)
                self._reach(source, self._convolved(as_convolution(operator), weights, errors))
        elif averages_all(operator):
            height, width, _ = source.hwc
            factor = float(source.scale) / float(operator.outputs[0].scale) / (height * width)
            self._reach(source, self._averaged(operator, self._masked(operator, errors, factor)))
        elif isinstance(operator, AveragePool2D | MaxPool2D):
            self._reach(source, self._unpooled(operator, self._masked(operator, errors)))
        elif isinstance(operator, Add):
            for tensor in operator.inputs:
                self._reach(
                    tensor, self._masked(operator, errors, float(tensor.scale) / float(operator.outputs[0].scale))
                )
        else:
            self._reach(source, errors)

    def _reach(self, tensor: Tensor, errors: Errors) -> None:
        """Errors that one reader of `tensor` has; readers come before what computes it."""
        if tensor.name in self._moved:
            there = self._at.get(tensor.name)
            self._at[tensor.name] = errors if there is None else self._joined(tensor, there, errors)

    def _add(
        self, kind: type[Operator], name: str, label: str, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...],
        **more: Any,
    ) -> Operator:  # fmt: skip
        made = kind(name=self._names.unique(name), label=label, inputs=inputs, outputs=outputs, **more)
        made.check()
        self.operators.append(made)
        return made

    def _normalized(self, sums: Tensor, exponent: Tensor, unit: float, name: str, label: str) -> Errors:
        """Sums as errors."""
        values = replace(sums, name=f"{sums.name} as errors", dtype=INT16, label="errors")
        after = replace(exponent, name=f"{sums.name} exponent", label="exponent")
        self._add(NormalizedErrors, f"{name}_errors", label, (sums, exponent), (values, after))
        return Errors(values, after, unit)

    def _convolved(self, layer: Convolution, weights: Tensor | None, errors: Errors) -> Errors:
        """Errors at the input of `layer`, by `weights`; where there are none by its own, which are frozen."""
        x, real = layer.inputs[0], np.broadcast_to(layer.real_multiplier, (layer.channels,))
        if weights is None:
            own = filters_of(layer)
            weights = Tensor(f"{layer.name}/weights back", own.shape, INT8, data=own, label=f"{layer.label}/weights")
        sums = Tensor(f"learn/sums before {layer.name}", x.shape, INT32, label="sums")
        self._add(
            ConvGradient, f"{layer.name}_gradient", layer.label, (errors.values, weights, *errors.maps), (sums,),
            layer=layer, live=errors.live, scale=np.rint(real / real.max() * ONE).astype(np.int32),
        )  # fmt: skip
        return self._normalized(sums, errors.exponent, errors.unit * float(real.max()), layer.name, layer.label)

    def _averaged(self, pool: Operator, errors: Errors) -> Errors:
        """Errors that all pixels share, where the average can be clamped."""
        if not errors.masks:
            return errors
        values = replace(errors.values, name=f"learn/errors before {pool.name}")
        exponent = replace(errors.exponent, name=f"learn/errors before {pool.name} exponent")
        channels = pool.outputs[0].size
        self._add(
            ErrorsThrough, f"{pool.name}_errors", pool.label, (errors.values, errors.exponent, *errors.maps),
            (values, exponent), factor=np.full(channels, ONE, np.int32), up=-FACTOR, moving=False, live=errors.live,
        )  # fmt: skip
        return Errors(values, exponent, errors.unit)

    def _unpooled(self, pool: AveragePool2D | MaxPool2D, errors: Errors) -> Errors:
        """Errors at the input of `pool`."""
        x = pool.inputs[0]
        sums = Tensor(f"learn/sums before {pool.name}", x.shape, INT32, label="sums")
        read = (x,) if isinstance(pool, MaxPool2D) else ()
        made = self._add(
            PoolGradient, f"{pool.name}_gradient", pool.label, (errors.values, *read, *errors.maps), (sums,),
            pool=pool, live=errors.live,
        )  # fmt: skip
        assert isinstance(made, PoolGradient)
        return self._normalized(sums, errors.exponent, errors.unit * made.unit, pool.name, pool.label)

    def _joined(self, tensor: Tensor, first: Errors, second: Errors) -> Errors:
        """The sum of the errors that two readers of `tensor` have."""
        unit = max(first.unit, second.unit)
        name = self._names.unique("joined")
        sums = Tensor(f"learn/{name} sums", tensor.shape, INT32, label="sums")
        exponent = Tensor(f"learn/{name} exponent of sums", (1,), INT32, label="exponent")
        given = (first.values, first.exponent, second.values, second.exponent, *first.maps, *second.maps)
        self._add(
            JoinedErrors, f"{name}_sums", "joined errors", given, (sums, exponent), shape=tensor.shape,
            live=(first.live, second.live),
            scale=(round(first.unit / unit * ONE), round(second.unit / unit * ONE)),
        )  # fmt: skip
        return self._normalized(sums, exponent, unit / ONE, name, "joined errors")

    def _affine(self, affine: AdaptAffine, multiplier: Tensor, errors: Errors) -> Errors:
        """Errors at the values before a normalisation, by the multipliers of the sample."""
        x = affine.inputs[0]
        shift = np.zeros(multiplier.size) if affine.shift is None else affine.shift.astype(np.float64)
        factor, up = factors(np.exp2(-shift))
        values = Tensor(f"learn/errors before {affine.name}", x.shape, INT16, label="errors")
        exponent = Tensor(f"learn/errors before {affine.name} exponent", (1,), INT32, label="exponent")
        self._add(
            ErrorsThrough, f"{affine.name}_errors", affine.label,
            (errors.values, errors.exponent, multiplier, *errors.maps), (values, exponent),
            factor=factor, up=-14 - USUAL, moving=True, live=errors.live,
        )  # fmt: skip
        return Errors(values, exponent, errors.unit * 2.0 ** (14 + USUAL + up - OUTPUT_FRACTION))

    def _held(self, layer: Learnt, operator: Operator, errors: Errors) -> Errors:
        """The layer as compiled, and the errors with what holds its output to what that gives."""
        (y,), hold = layer.outputs, self._lesson.hold
        before = replace(y, name=f"{y.name} compiled")
        self.operators.append(replace(operator, name=self._names.unique(f"{layer.name}_compiled"), outputs=(before,)))
        values = Tensor("learn/held errors", y.shape, INT16, label="held errors")
        exponent = Tensor("learn/held exponent", (1,), INT32, label="held exponent")
        real = 2 * hold * float(y.scale) ** 2 / errors.unit
        shift = min(max(15 - int(np.frexp(real)[1]), 1), 46)
        factor = round(real * 2.0**shift)
        if not 0 < factor <= LARGEST_HOLD:
            raise UsageError(
                f"--learn-hold {hold:g}: out of range for the scales of layer '{layer.label or layer.name}'"
            )
        held = np.zeros(layer.channels, np.int8)
        held[list(self._lesson.held)] = 1
        self._add(
            HoldErrors, "held", "held", (errors.values, errors.exponent, y, before, self._label, *errors.maps),
            (values, exponent), live=errors.live, held=held, hold=factor, shift=shift,
        )  # fmt: skip
        return Errors(values, exponent, errors.unit)

    # --- what learns ---

    def _following(self, layer: Learnt) -> tuple[Tensor, Tensor]:
        _, _, masters, bias = self._parts(layer)
        after = replace(masters, name=f"{masters.name} next"), replace(bias, name=f"{bias.name} next")
        self.following |= {f"{layer.name} masters": after[0], f"{layer.name} bias masters": after[1]}
        return after

    def _rate(self, layer: Learnt) -> float:
        return self._lesson.rates[self._lesson.layers.index(layer.name)]

    def _learn(self, layer: Convolution, errors: Errors) -> None:
        values = rates_of(layer, errors.unit, self._rate(layer))
        made = ConvUpdate(
            name=self._names.unique(f"{layer.name}_update"), label=layer.label, outputs=self._following(layer),
            inputs=(*self._parts(layer)[2:], layer.inputs[0], errors.values, errors.exponent, *errors.maps),
            layer=layer, live=errors.live, rate=values[0], shift=values[1], bias_rate=values[2],
            bias_shift=values[3], slope=slopes(layer, errors.unit),
        )  # fmt: skip
        made.check()
        self._updates.append(made)

    def _learn_norm(self, layer: Normalised, errors: Errors) -> None:
        gain, offset = norm_rates(layer, errors.unit, self._rate(layer))
        made = NormUpdate(
            name=self._names.unique(f"{layer.name}_update"), label=layer.label, outputs=self._following(layer),
            inputs=(
                *self._parts(layer)[2:], self._weights_now(layer), *layer.outputs, errors.values, errors.exponent,
                *errors.maps,
            ),
            learns=layer.name, live=errors.live, gain=gain, offset=offset, slope=norm_slopes(layer, errors.unit),
        )  # fmt: skip
        made.check()
        self._updates.append(made)
