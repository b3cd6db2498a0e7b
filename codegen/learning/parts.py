"""Meta networks at the ends of parts: where these are, and the gradient's way back to them through frozen layers.

The multipliers of live layers are taken as constants of the sample. A step computes the network in front of the pool
anew from the input that is kept, with one bit for each value behind an activation, and errors flow back from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import frexp
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.errors import ModelError, UsageError
from driftc.codegen.graph import Graph
from driftc.codegen.learning.layers import clamp_of
from driftc.codegen.learning.tail import ancestors, model_input
from driftc.codegen.names import Names
from driftc.codegen.operators.adapt.adapt_affine import AdaptAffine
from driftc.codegen.operators.adapt.adapt_kernel import OUTPUT_FRACTION
from driftc.codegen.operators.adapt.live import Live
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.learn.conv_errors import ConvErrors
from driftc.codegen.operators.learn.errors import ErrorsSum, ErrorsThrough, factors
from driftc.codegen.operators.learn.map_meta import MapUpdate, MetaMap
from driftc.codegen.operators.learn.masks import LiveBits
from driftc.codegen.operators.learn.meta import GAIN_FRACTION, OFFSET_FRACTION
from driftc.codegen.operators.learn.meta_update import Factor
from driftc.codegen.tensor import Tensor

States = Mapping[str, Tensor]
INT8, INT16, INT32 = np.dtype(np.int8), np.dtype(np.int16), np.dtype(np.int32)


def ends(graph: Graph, last: Tensor, count: int) -> list[Tensor]:
    """The maps at the ends of all parts but the last, which ends with `last`; first to last.

    A part can end behind the first layer with weights where one int8 map is all that the rest reads: of these places,
    those that share them out evenly. Raises ModelError where there are fewer than `count`.
    """
    before = ancestors(graph, [last])
    made = {tensor.name for operator in before for tensor in operator.outputs}
    left = dict.fromkeys(made, 0)
    for operator in before:
        for tensor in operator.inputs:
            if tensor.name in left:
                left[tensor.name] += 1
    places: list[Tensor] = []
    alive: dict[str, Tensor] = {}
    weighted = False
    for operator in before:
        weighted = weighted or isinstance(operator, Weighted)
        for tensor in operator.inputs:
            if tensor.name in alive:
                left[tensor.name] -= 1
                if left[tensor.name] == 0:
                    del alive[tensor.name]
        alive |= {tensor.name: tensor for tensor in operator.outputs if left[tensor.name] or tensor.name == last.name}
        if weighted and len(alive) == 1:
            (found,) = alive.values()
            if found.dtype == INT8 and len(found.shape) == 4 and not operator.view:
                places.append(found)
    places = places[1:]  # behind the stem
    if len(places) < count:
        raise ModelError(
            f"{graph.source}: --learn-parts {count}: the model has {max(len(places), 1)} places where a part could "
            "end, maps behind its first layer that all of the rest is computed from"
        )
    return [places[-(-number * len(places) // count) - 1] for number in range(1, count)]


def kept_input(graph: Graph) -> Tensor:
    """The int8 input that a step computes the network from. Raises ModelError."""
    found = model_input(graph)
    if found is None:
        raise ModelError(f"{graph.source}: --learn-parts needs a model with one int8 input, from which a step computes")
    return found


def with_maps(operators: Sequence[Operator], places: Sequence[Tensor], states: States, names: Names) -> list[Operator]:
    """`operators` with a META_MAP behind whatever makes each of `places`, on the states `gains N` and `offsets N`."""
    at = {tensor.name: number for number, tensor in enumerate(places, 1)}
    found: list[Operator] = []
    for operator in operators:
        number = next((at[tensor.name] for tensor in operator.outputs if tensor.name in at), None)
        if number is None:
            found.append(operator)
            continue
        (y,) = operator.outputs
        inner = replace(y, name=f"{y.name} before", index=None)
        found += [
            replace(operator, outputs=(inner,)),
            MetaMap(
                name=names.unique(f"{operator.name}_map"), label=operator.label, outputs=(y,),
                inputs=(inner, states[f"gains {number}"], states[f"offsets {number}"]),
            ),
        ]  # fmt: skip
    return found


@dataclass(frozen=True)
class Errors:
    """The loss by real values of a tensor: int16 errors times 2^exponent, in a unit that is the same everywhere."""

    values: Tensor
    exponent: Tensor

    @property
    def both(self) -> tuple[Tensor, Tensor]:
        return (self.values, self.exponent)


@dataclass(frozen=True)
class Rates:
    """`unit`: of errors at exponent 0; `rate`, `hold` and `reach` as for the map behind the pool."""

    unit: float
    rate: float
    hold: float
    reach: float


class Backward:
    """Operators, in order, that make the network anew and take errors back; `states`: those of a step, by part."""

    def __init__(
        self, forward: Sequence[Operator], states: States, after: States, told: Tensor, rates: Rates, names: Names
    ) -> None:
        """`after`: what becomes of states; `told`: what META_UPDATE gives; `names`: those of operators."""
        self._states, self._after, self._told, self._rates, self._names = states, after, told, rates, names
        self.live = self._depending(forward)
        self._bits: dict[str, Tensor] = {}
        self.forward: list[Operator] = []
        for operator in forward:
            self.forward.append(operator)
            if operator in self.live:
                self.forward += self._live_bits(operator)
        self.operators: list[Operator] = []
        self._at: dict[str, Errors] = {}

    @staticmethod
    def _depending(forward: Sequence[Operator]) -> list[Operator]:
        """On the first meta network, and it."""
        moved: set[str] = set()
        found = []
        for operator in forward:
            if isinstance(operator, MetaMap) or any(tensor.name in moved for tensor in operator.inputs):
                found.append(operator)
                moved |= {tensor.name for tensor in operator.outputs}
        return found

    def _live_bits(self, operator: Operator) -> list[Operator]:
        bounds = clamp_of(operator)
        if bounds is None:
            return []
        y = operator.outputs[0]
        bits = Tensor(f"{y.name} live", (-(-y.size // 8),), INT8, label=f"{y.label or y.name}/live")
        self._bits[y.name] = bits
        name = self._names.unique(f"{operator.name}_live")
        return [LiveBits(name=name, label=operator.label, inputs=(y,), outputs=(bits,), bounds=bounds)]

    def run(self, last: Tensor, errors: Errors) -> list[Operator]:
        """From the errors at `last`, what learns at each end."""
        self._at[last.name] = errors
        first = next(operator for operator in self.live if isinstance(operator, MetaMap))
        for operator in reversed(self.live):
            found = self._at.get(operator.outputs[0].name)
            if found is None:
                continue
            if isinstance(operator, MetaMap):
                self._learn(operator, found, operator is first)
            elif isinstance(operator, AdaptAffine):
                self._affine(operator, found)
            elif isinstance(operator, Live):
                self._convolution(operator, found)
            elif isinstance(operator, Conv2D | DepthwiseConv2D):
                by = np.broadcast_to(operator.quantization.scale.astype(np.float64), (operator.channels,))
                self._convolution(operator, self._through(operator, found, by))
            elif isinstance(operator, Add) and len({t.shape for t in (*operator.inputs, *operator.outputs)}) == 1:
                clamped = operator.outputs[0].name in self._bits
                through = self._through(operator, found, np.ones(operator.outputs[0].shape[-1])) if clamped else found
                for tensor in operator.inputs:
                    self._give(tensor, through)
            else:
                _refuse(operator)
        return self.operators

    def _give(self, tensor: Tensor, errors: Errors) -> None:
        """`errors` at `tensor` too, where something learns from them."""
        if tensor.name not in {t.name for operator in self.live for t in operator.outputs}:
            return
        there = self._at.get(tensor.name)
        if there is None:
            self._at[tensor.name] = errors
            return
        size = max(there.values.size, errors.values.size)
        made = self._errors(tensor, tensor.shape if size == tensor.size else there.values.shape, "sum")
        self._add(ErrorsSum, tensor, (*there.both, *errors.both), made)
        self._at[tensor.name] = made

    def _errors(self, tensor: Tensor, shape: tuple[int, ...], what: str) -> Errors:
        label = f"{tensor.label or tensor.name}/errors"
        name = f"{tensor.name} errors {what} {len(self.operators)}"
        return Errors(Tensor(name, shape, INT16, label=label), Tensor(f"{name} exponent", (1,), INT32, label=label))

    def _add(self, kind: type[Operator], at: Tensor, inputs: tuple[Tensor, ...], made: Errors, **more: Any) -> None:
        name = self._names.unique(f"{kind.codes[0].lower()}_{len(self.operators)}")
        operator = kind(name=name, label=at.label, inputs=inputs, outputs=made.both, **more)
        operator.check()
        self.operators.append(operator)

    def _through(
        self, operator: Operator, errors: Errors, by: NDArray[np.float64], moving: Tensor | None = None,
        values: tuple[Tensor, ...] = (),
    ) -> Errors:  # fmt: skip
        """Times `by`, and where there is one the multiplier `moving`; not where the output was clamped, or `values`."""
        y = operator.outputs[0]
        bits = [self._bits[tensor.name] for tensor in (y, *values) if tensor.name in self._bits]
        factor, up = factors(by)
        made = self._errors(y, y.shape, "through")
        inputs = (*errors.both, *((moving,) if moving is not None else ()), *bits)
        self._add(
            ErrorsThrough, y, inputs, made, factor=factor, up=up,
            moving=moving is not None, live=(None,) * len(bits),
        )  # fmt: skip
        return made

    def _affine(self, operator: AdaptAffine, errors: Errors) -> None:
        values, multiplier, _ = operator.inputs
        channels = multiplier.size
        assert values.quantization is not None
        scale = np.broadcast_to(values.quantization.scale.astype(np.float64), (channels,))
        shift = np.zeros(channels) if operator.shift is None else operator.shift.astype(np.float64)
        by = float(operator.outputs[0].scale) / (np.exp2(OUTPUT_FRACTION + shift) * scale)
        maker = next((op for op in self.live if values.name in {t.name for t in op.outputs}), None)
        if isinstance(maker, Live):
            by = by * np.broadcast_to(maker.quantization.scale.astype(np.float64), (channels,))
        self._give(
            values, self._through(operator, errors, by, multiplier, (values,) if isinstance(maker, Live) else ())
        )

    def _convolution(self, layer: Operator, errors: Errors) -> None:
        if not isinstance(layer, Conv2D | DepthwiseConv2D):
            _refuse(layer)
        (x,) = layer.inputs
        if errors.values.shape != layer.outputs[0].shape:
            layer.refuse("errors that are alike in every pixel reach it")
        made = self._errors(x, x.shape, "back")
        self._add(ConvErrors, x, errors.both, made, layer=layer)
        self._give(x, made)

    def _learn(self, operator: MetaMap, errors: Errors, first: bool) -> None:
        x, gains, offsets = operator.inputs
        what = [next(name for name, tensor in self._states.items() if tensor is state) for state in (gains, offsets)]
        channels = gains.size
        unit, rates = float(x.scale), self._rates
        step, hold = rates.rate * rates.unit, rates.rate * rates.hold / x.size
        if not first:
            back = self._through(operator, errors, np.full(channels, 2.0**-GAIN_FRACTION), gains)
            self._give(x, back)
        made = MapUpdate(
            name=self._names.unique(f"{operator.name}_update"), label=operator.label,
            inputs=(gains, offsets, x, *errors.both, self._told),
            outputs=(self._after[what[0]], self._after[what[1]]),
            gain=_factor(step * unit * 2.0**GAIN_FRACTION), hold_gain=_factor(hold * unit * 2.0**GAIN_FRACTION),
            offset=_factor(step / unit * 2.0**OFFSET_FRACTION),
            hold_offset=_factor(hold / unit * 2.0**OFFSET_FRACTION),
            bound=min(round(rates.reach / unit * 2.0**OFFSET_FRACTION), 2**31 - 1),
        )  # fmt: skip
        made.check()
        self.operators.append(made)


def _factor(real: float) -> Factor:
    """A mantissa of 15 bits and a right shift."""
    if not real > 0:
        raise UsageError("--learn-rate: out of range for the scales of the model's maps")
    fraction, power = frexp(real)
    mantissa = round(fraction * 2**15)
    return (mantissa // 2, 14 - power) if mantissa == 1 << 15 else (mantissa, 15 - power)


def _refuse(operator: Operator) -> NoReturn:
    operator.refuse(
        "--learn-parts has no gradient through it: errors flow back through CONV_2D, DEPTHWISE_CONV_2D, live or not, "
        "and ADD of maps of one shape; fewer parts, or none, may end behind it"
    )
