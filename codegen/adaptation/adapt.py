"""The pass `adapt`: after it the chosen layers normalise each sample by its own statistics.

A live layer becomes three operators: its producer with statistics, ADAPT_STATISTICS, ADAPT_AFFINE. The tensor that the
next layer reads keeps its name, type and quantisation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from driftc.codegen.adaptation import linear
from driftc.codegen.adaptation.constants import Adaptation, Constants
from driftc.codegen.adaptation.linear import int16, scaled
from driftc.codegen.errors import ModelError, UsageError
from driftc.codegen.graph import Graph, Quantization, Tensor
from driftc.codegen.operators.adapt_affine import AdaptAffine
from driftc.codegen.operators.adapt_statistics import (
    COLUMNS,
    MEAN_FRACTION,
    OUTPUT_FRACTION,
    AdaptStatistics,
    steps,
)
from driftc.codegen.operators.adapt_trust import AdaptTrust
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.live import live, recentred, sums_type, unfit
from driftc.codegen.operators.powers import exp2_inverse, log2
from driftc.codegen.operators.weighted import Weighted

LARGEST_GAIN = 16.0  # steps of the output for one of the int8 values before it, at the source's statistics
INT32, INT64 = np.dtype(np.int32), np.dtype(np.int64)


def candidates(graph: Graph) -> dict[str, str | None]:
    """Each layer with weights, in program order -> why it cannot be live, or None."""
    return {operator.name: unfit(operator) for operator in graph.operators if isinstance(operator, Weighted)}


def chosen(graph: Graph, wanted: str) -> list[str]:
    """The layers that `wanted` names: "all", a share of those there are ("0.5": the first half), or NAME,NAME.

    Raises UsageError for a layer that does not exist or cannot be live, with the reason and the candidates.
    """
    found = candidates(graph)
    able = [name for name, problem in found.items() if problem is None]
    listed = ", ".join(able) or "none"
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
        made = _live_layer(operator, constants, names)
        for part in made:
            part.check()
        operators += made
    return graph.with_operators(operators)


def _live_layer(operator: Weighted, constants: Constants, names: _Unique) -> list[Operator]:
    (result,) = operator.outputs
    channels = operator.channels
    if constants.dm.size != channels:
        operator.refuse(f"the adaptation has {constants.dm.size} channels, not {channels}")
    step = np.broadcast_to(operator.inputs[0].scale * operator.quantization.scale.astype(np.float64), (channels,))
    centre = np.rint(constants.mean / step).astype(np.int64)
    bias = recentred(operator, centre)
    level = np.log2(constants.var + constants.eps)
    form = constants.form
    gain = constants.gamma * np.exp2(-(level if form.linear else constants.dv * level + constants.cv) / 2)
    unit = _units(constants, step, replace(operator, bias=bias).largest_sum, result.scale, gain)

    def tensor(suffix: str, dtype: np.dtype[Any], shape: tuple[int, ...] = (channels,)) -> Tensor:
        label = f"{result.label or result.name}/{suffix}"
        return Tensor(names.tensor(label), shape, dtype, label=label)

    values = replace(
        tensor("prenorm", result.dtype, result.shape),
        quantization=Quantization(unit.astype(np.float32), np.zeros(channels, np.int64), len(result.shape) - 1),
    )
    unit = unit.astype(np.float32).astype(np.float64)
    sums = tensor("sums", sums_type(replace(operator, bias=bias)))
    squares = tensor("squares", INT64)
    producer = live(operator, bias, (values, sums, squares))
    multiplier, offset = tensor("multiplier", INT32), tensor("offset", INT32)
    sizes = producer.pixels, producer.largest_sum
    trusted: list[Operator] = []
    if form.trust:
        found = linear.trust(*sizes, constants, step, centre)
        name, weight = names.operator(f"{operator.name}_trust"), tensor("trust", INT32, (1,))
        trusted = [AdaptTrust(name=name, inputs=(sums,), outputs=(weight,), label=operator.label, **found)]
    if form.linear:
        fixed = linear.fixed_point(*sizes, constants, step, centre, unit, result.scale, result.zero_point)
    else:
        fixed = _fixed_point(*sizes, constants, step, centre, unit, result, gain)
    statistics = AdaptStatistics(
        name=names.operator(f"{operator.name}_statistics"),
        inputs=(sums, squares, *(output for part in trusted for output in part.outputs)),
        outputs=(multiplier, offset),
        label=operator.label,
        **fixed,
    )
    affine = AdaptAffine(
        name=names.operator(f"{operator.name}_affine"),
        inputs=(values, multiplier, offset),
        outputs=(result,),
        label=operator.label,
        bounds=operator.range,
    )
    return [producer, *trusted, statistics, affine]


def _units(constants: Constants, step: Any, largest: int, scale: float, gain: Any) -> Any:
    """What one step of the int8 values is worth, per channel: reach / 127.

    Not so much that a step moves the output by more than LARGEST_GAIN: what lies further out is beyond the output's
    range anyway. Not so little that the producer would have to scale up, or that the mean of accumulators up to
    `largest` would leave 2^30 in Q.12.
    """
    unit = np.minimum(constants.reach / 127, LARGEST_GAIN * scale / gain)
    least = np.maximum(largest * np.maximum(np.abs(constants.dm), 1.0) * 2.0 ** (MEAN_FRACTION - 29.9), 2.1)
    return np.maximum(unit, least * step)


def _fixed_point(
    pixels: int, largest: int, constants: Constants, step: Any, centre: Any, unit: Any, result: Tensor, gain: Any
) -> dict[str, Any]:
    """The real constants as ADAPT_STATISTICS takes them. x = step * (accumulator + centre) = unit * p + step * centre.

    `level` makes the multiplier exact where the sample's variance is the source's.
    """
    moved, shift = scaled(constants.dm * step / (pixels * unit) * 2.0**MEAN_FRACTION)  # for each unit of the sum
    floor = np.rint(np.log2(constants.eps * pixels / step**2)).clip(0, 61).astype(np.int64)
    powers = log2(np.rint(constants.var * pixels / step**2).astype(np.int64) + (np.int64(1) << floor))
    power = int(powers.min() + powers.max()) // 2
    decay = int16(constants.dv / 2, "decay")
    level = np.array([exp2_inverse(float(wanted)) for wanted in gain * unit / result.scale])
    level += steps(decay.astype(np.int64), powers - power)
    columns = {
        "floor": floor.astype(np.int16),
        "level": int16(level / 2.0**OUTPUT_FRACTION, "level"),
        "decay": decay,
        "base": int16(result.zero_point + constants.beta / result.scale + 0.5, "base"),
        "centre": int16((constants.dm * step * centre + constants.cm - step * centre) / unit, "centre"),
        "gain": moved,
    }
    table = np.stack([columns[name] for name in COLUMNS], axis=1)
    return {"pixels": pixels, "table": table, "power": power, "shift": shift, "largest_sum": pixels * largest}


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
