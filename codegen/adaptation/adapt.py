"""The pass `adapt`: after it the chosen layers normalise each sample by its own statistics.

A live layer becomes three operators: its producer with statistics, ADAPT_STATISTICS or ADAPT_LINEAR, ADAPT_AFFINE. The
tensor that the next layer reads keeps its name, type and quantisation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.adaptation import linear, rank
from driftc.codegen.adaptation.constants import Adaptation, Constants
from driftc.codegen.adaptation.known import Normalisation
from driftc.codegen.adaptation.linear import floors, scaled
from driftc.codegen.errors import ModelError, UsageError
from driftc.codegen.graph import Graph
from driftc.codegen.operators.adapt.adapt_affine import AdaptAffine
from driftc.codegen.operators.adapt.adapt_kernel import OUTPUT_FRACTION, AdaptKernel
from driftc.codegen.operators.adapt.adapt_linear import MEAN_FRACTION as LINEAR_MEAN_FRACTION
from driftc.codegen.operators.adapt.adapt_linear import AdaptLinear
from driftc.codegen.operators.adapt.adapt_rank import AdaptRank
from driftc.codegen.operators.adapt.adapt_statistics import (
    COLUMNS,
    FLOOR,
    FRACTIONS,
    MEAN_FRACTION,
    AdaptStatistics,
    steps,
)
from driftc.codegen.operators.adapt.adapt_trust import AdaptTrust
from driftc.codegen.operators.adapt.live import live, recentred, sums_type, unfit
from driftc.codegen.operators.adapt.tensor_statistics import LARGEST_VALUE, TensorStatistics
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.by_sample import BySample
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.operators.elementwise.powers import POWER_FRACTION, log2
from driftc.codegen.tensor import Quantization, Tensor

FINER = {"int8": 1, "int16": 256, "int32": 1}  # int32 by a power of two of each channel's own
LARGEST_GAIN = 16.0  # steps of the output for one of the int8 values before it, at the source's statistics
LEVEL = OUTPUT_FRACTION - POWER_FRACTION  # more, where the real multiplier is 1
MARGIN = 2.0
INT32, INT64 = np.dtype(np.int32), np.dtype(np.int64)


def candidates(graph: Graph, known: Mapping[str, Normalisation] | None = None) -> dict[str, str | None]:
    """Each layer with weights, in program order -> why it cannot be live, or None. `known`: these alone."""
    layers = [op for op in graph.operators if (op.name in known if known else isinstance(op, Weighted))]
    batch = max((op.samples for op in graph.operators if isinstance(op, BySample)), default=1)
    many = f"the model takes a batch of {batch}, and a layer adapts to one sample" if batch > 1 else None
    return {operator.name: many or unfit(operator) for operator in layers}


def chosen(graph: Graph, wanted: str, known: Mapping[str, Normalisation] | None = None) -> list[str]:
    """The layers that `wanted` names: "all", a share of those there are ("0.5": the first half), or NAME,NAME.

    Only layers in `known` are considered where there are any; they go by the normalisation's name too.
    Raises UsageError for a layer that does not exist or cannot be live, with the reason and the candidates.
    """
    found = candidates(graph, known)
    able = [name for name, problem in found.items() if problem is None]
    titles = {name: norm.name for name, norm in (known or {}).items()}
    listed = ", ".join(titles.get(name, name) for name in able) or "none"
    if not able:
        reasons = "; ".join(f"{name}: {problem}" for name, problem in found.items())
        raise ModelError(f"{graph.source}: no layer can be normalised live: {reasons or 'none has weights'}")
    if wanted == "all":
        return able
    share = _share(wanted)
    if share is not None:
        if not 0 < share <= 1:
            raise UsageError(f"--adapt-layers {wanted}: a share is above 0 and at most 1")
        return able[: max(1, round(share * len(able)))]
    labels = {operator.label: operator.name for operator in graph.operators}
    labels |= {title: name for name, title in titles.items()}
    names = [labels.get(name.strip(), name.strip()) for name in wanted.split(",")]
    for name in names:
        if name not in found:
            raise UsageError(f"--adapt-layers: the model has no layer '{name}'; it could be {listed}")
        if found[name] is not None:
            raise UsageError(f"--adapt-layers: {name}: {found[name]}; it could be {listed}")
    return [name for name in able if name in names]


def _share(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def adapt(graph: Graph, adaptation: Adaptation) -> Graph:
    """Raises UsageError where the adaptation is another model's, ModelError where its numbers do not fit."""
    if adaptation.sha256 != graph.sha256:
        raise UsageError(f"{graph.source}: the adaptation was made for another model (sha256 {adaptation.sha256[:8]})")
    names = _Unique(
        [operator.name for operator in graph.operators],
        [tensor.name for tensor in graph.tensors()],
    )
    operators: list[Operator] = []
    known = candidates(graph)
    for name in adaptation.layers:
        if name not in known or known[name] is not None:
            raise UsageError(f"{graph.source}: layer '{name}' cannot be live: {known.get(name, 'it does not exist')}")
    for operator in graph.operators:
        constants = adaptation.layers.get(operator.name)
        if constants is None:
            operators.append(operator)
            continue
        assert isinstance(operator, Weighted)
        make = _live_tensor if scales_alone(operator, constants) else _live_layer
        try:
            with np.errstate(over="raise", divide="raise", invalid="raise"):
                made = make(operator, constants, adaptation.precision, names)
        except (FloatingPointError, OverflowError):
            operator.refuse("its constants of adaptation are out of any sensible range")
        for part in made:
            part.check()
        operators += made
    return graph.with_operators(operators)


def _live_layer(operator: Weighted, constants: Constants, precision: str, names: _Unique) -> list[Operator]:
    (result,) = operator.outputs
    channels = operator.channels
    if constants.dm.size != channels:
        operator.refuse(f"the adaptation has {constants.dm.size} channels, not {channels}")
    step = np.broadcast_to(operator.inputs[0].scale * operator.quantization.scale.astype(np.float64), (channels,))
    gain = _gain(constants)
    middle, half = _useful(operator, constants, gain)
    centre = np.rint(middle / step).astype(np.int64)
    bias = recentred(operator, centre)
    largest = replace(operator, bias=bias).largest_sum
    unit = _units(constants, half, step, largest, result.scale, gain, FINER[precision])
    if precision == "int32":
        shift = np.ceil(np.log2(unit / step)).clip(0, 31)
        unit, value = step * np.exp2(shift), step
    else:
        shift = np.broadcast_to(np.log2(FINER[precision]), (channels,))
        value = (unit / FINER[precision]).astype(np.float32)
        unit = value.astype(np.float64) * FINER[precision]

    def tensor(suffix: str, dtype: np.dtype[Any], shape: tuple[int, ...] = (channels,)) -> Tensor:
        label = f"{result.label or result.name}/{suffix}"
        return Tensor(names.tensor(label), shape, dtype, label=label)

    values = replace(
        tensor("prenorm", np.dtype(precision), result.shape),
        quantization=Quantization(value.astype(np.float32), np.zeros(channels, np.int64), len(result.shape) - 1),
    )
    sums = tensor("sums", sums_type(replace(operator, bias=bias)))
    squares = tensor("squares", INT64)
    producer = live(operator, bias, (values, sums, squares))
    multiplier, offset = tensor("multiplier", INT32), tensor("offset", INT32)
    sizes = producer.pixels, producer.largest_sum
    statistics = _statistics(
        operator, constants, sizes, step, centre, unit, (sums, squares), (multiplier, offset), names
    )
    affine = AdaptAffine(
        name=names.operator(f"{operator.name}_affine"),
        inputs=(values, multiplier, offset),
        outputs=(result,),
        label=operator.label,
        bounds=operator.range,
        shift=None if precision == "int8" else shift.astype(np.int8),
    )
    return [producer, *statistics, affine]


def scales_alone(operator: Operator, constants: Constants) -> bool:
    """It is a normalisation of its own: each value times a positive number. Then it can read int8 as it is."""
    if not isinstance(operator, DepthwiseConv2D) or operator.outputs[0].shape != operator.inputs[0].shape:
        return False
    if operator.kernel != (1, 1) or operator.weights.data is None or operator.weights.data.min() <= 0:
        return False
    return bool(np.all(_gain(constants) * _steps(operator)[0] <= LARGEST_GAIN * operator.outputs[0].scale))


def _live_tensor(operator: Operator, constants: Constants, _: str, names: _Unique) -> list[Operator]:
    """The normalisation of the int8 tensor that `operator` reads, which it need not scale first."""
    assert isinstance(operator, DepthwiseConv2D)
    (x,), (result,) = operator.inputs, operator.outputs
    channels = operator.channels
    step, centre = _steps(operator)

    def tensor(suffix: str, dtype: np.dtype[Any]) -> Tensor:
        label = f"{result.label or result.name}/{suffix}"
        return Tensor(names.tensor(label), (channels,), dtype, label=label)

    sums, squares = tensor("sums", INT32), tensor("squares", INT64)
    multiplier, offset = tensor("multiplier", INT32), tensor("offset", INT32)
    gathered = TensorStatistics(name=operator.name, inputs=(x,), outputs=(sums, squares), label=operator.label)
    sizes = gathered.pixels, LARGEST_VALUE
    statistics = _statistics(
        operator, constants, sizes, step, centre, step, (sums, squares), (multiplier, offset), names
    )
    affine = AdaptAffine(
        name=names.operator(f"{operator.name}_affine"),
        inputs=(x, multiplier, offset),
        outputs=(result,),
        label=operator.label,
        bounds=operator.range,
    )
    return [gathered, *statistics, affine]


def _statistics(
    operator: Weighted,
    constants: Constants,
    sizes: tuple[int, int],
    step: Any,
    centre: Any,
    unit: Any,
    given: tuple[Tensor, Tensor],
    results: tuple[Tensor, Tensor],
    names: _Unique,
) -> list[Operator]:
    """ADAPT_STATISTICS or ADAPT_LINEAR, behind what sees all channels, if any. `sizes`: pixels, largest accumulator."""
    (result,), form = operator.outputs, constants.form

    def number(suffix: str, count: int) -> tuple[Tensor]:
        label = f"{result.label or result.name}/{suffix}"
        return (Tensor(names.tensor(label), (count,), INT32, label=label),)

    before: list[Operator] = []
    if form.trust:
        before = [
            AdaptTrust(
                name=names.operator(f"{operator.name}_trust"),
                inputs=given[:1],
                outputs=number("trust", 1),
                label=operator.label,
                **linear.trust(*sizes, constants, step, centre),
            )
        ]
    elif constants.rank is not None:
        before = [
            AdaptRank(
                name=names.operator(f"{operator.name}_rank"),
                inputs=given,
                outputs=number("rank", constants.rank.start.size),
                label=operator.label,
                **rank.hidden(*sizes, constants, step, centre),
            )
        ]
    if form.linear:
        fixed = linear.fixed_point(*sizes, constants, step, centre, unit, result.scale, result.zero_point)
    else:
        fixed = _fixed_point(*sizes, constants, step, centre, unit, result, _gain(constants))
    make: type[AdaptKernel] = AdaptLinear if form.linear else AdaptStatistics
    statistics = make(
        name=names.operator(f"{operator.name}_statistics"),
        inputs=(*given, *(output for part in before for output in part.outputs)),
        outputs=results,
        label=operator.label,
        **fixed,
    )
    return [*before, statistics]


def _steps(operator: DepthwiseConv2D) -> tuple[Any, Any]:
    """What one step of the input is worth behind the 1x1 weights, and how many such steps its zero is from theirs."""
    assert operator.weights.data is not None
    unit = operator.inputs[0].scale * operator.quantization.scale.astype(np.float64)
    weights = operator.weights.data.reshape(-1).astype(np.float64)
    return weights * unit, operator.raw_bias / weights - operator.inputs[0].zero_point


def _gain(constants: Constants) -> Any:
    """The slope of the normalisation at the source's statistics."""
    level = np.log2(constants.var + constants.eps)
    return constants.gamma * np.exp2(-(level if constants.form.linear else constants.dv * level + constants.cv) / 2)


def _useful(operator: Weighted, constants: Constants, gain: Any) -> tuple[Any, Any]:
    """Middle and half the width of what the values before normalisation are to hold, per channel: not what lies beyond
    `reach`, nor what the activation cuts off even where mean and deviation are MARGIN deviations from the source's.
    """
    (result,) = operator.outputs
    deviation = np.sqrt(constants.var + constants.eps)
    ends = (np.array(operator.range)[:, None] - result.zero_point) * result.scale
    low, high = constants.mean + (ends - constants.beta) / gain
    low = np.clip(low - MARGIN * deviation, constants.mean - constants.reach, constants.mean)
    high = np.clip(high + MARGIN * deviation, constants.mean, constants.mean + constants.reach)
    return (low + high) / 2, (high - low) / 2


def _units(constants: Constants, half: Any, step: Any, largest: int, scale: float, gain: Any, finer: int) -> Any:
    """What one step of int8 values is worth, per channel: `half` / 127. The values may be so many times `finer`.

    Not so much that a step moves the output by more than LARGEST_GAIN: what lies further out is beyond the output's
    range anyway. Not so little that the producer would have to scale up, or that, in the linear form, the mean of
    accumulators up to `largest` would leave 2^30 in Q.12.
    """
    unit = np.minimum(half / 127, LARGEST_GAIN * scale / gain)
    least = 2.1 if finer == 1 else 1.001 * finer
    if constants.form.linear:
        moved = largest * np.maximum(np.abs(constants.dm), 1.0) * 2.0 ** (LINEAR_MEAN_FRACTION - 29.9)
        least = np.maximum(moved, least)
    return np.maximum(unit, least * step)


def _fixed_point(
    pixels: int, largest: int, constants: Constants, step: Any, centre: Any, unit: Any, result: Tensor, gain: Any
) -> dict[str, Any]:
    """The real constants as ADAPT_STATISTICS takes them. x = step * (accumulator + centre) = unit * p + step * centre.

    `level` makes the multiplier exact where the sample's variance is the source's.
    """
    bits = min(30, 61 - (pixels * largest).bit_length())
    moved, shift = scaled(constants.dm * step / (pixels * unit) * 2.0**MEAN_FRACTION, bits)  # for each unit of the sum
    floor = floors(pixels, constants, step)
    powers = log2(linear.as_int64(constants.var * pixels / step**2) + (np.int64(1) << floor))
    power = int(powers.min() + powers.max()) // 2
    decay = _int32(constants.dv / 2, "decay") & ~FLOOR | floor
    level = _int32(np.log2(gain * unit / result.scale) + LEVEL, "level") + steps(decay, powers - power)
    columns = {
        "level": level,
        "decay": decay,
        "base": _int32(result.zero_point + constants.beta / result.scale + 0.5, "base"),
        "centre": _int32((constants.dm * step * centre + constants.cm - step * centre) / unit, "centre"),
        "gain": moved,
    }
    table = np.stack([columns[name].astype(np.int32) for name in COLUMNS], axis=1)
    found = {"pixels": pixels, "table": table, "power": power, "shift": shift, "largest_sum": pixels * largest}
    return found if constants.rank is None else found | rank.raised(table, constants.rank, unit)


def _int32(real: Any, column: str) -> NDArray[np.int32]:
    """Rounded to the column's fraction, saturated."""
    return np.asarray(np.rint(real * 2.0 ** FRACTIONS[column]).clip(-(2**31), 2**31 - 1), np.int32)


class _Unique:
    """Names that no operator or tensor of the Graph has, and that no constant array of another operator begins with."""

    def __init__(self, operators: Iterable[str], tensors: Iterable[str]) -> None:
        self._operators = set(operators)
        self._tensors = set(tensors)

    def operator(self, name: str) -> str:
        chosen, count = name, 1
        while any(other == chosen or other.startswith(f"{chosen}_") for other in self._operators):
            count += 1
            chosen = f"{name}{count}"
        self._operators.add(chosen)
        return chosen

    def tensor(self, name: str) -> str:
        while name in self._tensors:
            name += "'"
        self._tensors.add(name)
        return name
