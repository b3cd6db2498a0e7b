"""--adapt-layers auto: the layers that do most for shifted samples, within a budget of instructions.

What a layer does is measured without labels. A method that learns says what its loss would gain if the layer were not
live, after a short fit of all. Of other methods it is measured on the int8 Graph itself: how much closer to the outputs
on the samples the outputs on shifted copies come when this layer alone is live. What it costs is a model of the
generated C on a Cortex-M4 at -O2, which benchmarks/adaptation.py holds against the emulator: an upper bound of what a
live layer adds, a lower bound of what the model takes without. No compiler takes part: every machine chooses alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.adaptation.adapt import adapt
from driftc.codegen.adaptation.calibration import Source
from driftc.codegen.adaptation.constants import Adaptation, Constants
from driftc.codegen.adaptation.learning import Progress, Worth
from driftc.codegen.errors import UsageError
from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.passes import PASSES
from driftc.codegen.tensor import Array, Tensor

BUDGET = 12.0  # percent
SEEN = 16  # samples that are shifted: enough to rank layers
SEED = 0
# Instructions that a live layer adds, at most: for each output element, pixel and channel, and once.
PER_ELEMENT, PER_PIXEL, PER_CHANNEL, PER_LAYER = 14.5, 36, 145, 300
PER_CHANNEL_RANKED, PER_RANK = 240, 22  # for each channel, with a rank and for each of it
# Instructions of an unadapted layer, at least: for each multiply-accumulate, and output element.
CONVOLUTION, DEPTHWISE, DENSE, FINISHED, OTHER = 2.55, 4.0, 2.0, 12, 3


def added(operator: Operator, rank: int = 0) -> float:
    """The most instructions that `operator`, a convolution, takes more when it is live."""
    height, width, channels = operator.outputs[0].hwc
    pixels = height * width
    across = PER_CHANNEL_RANKED + rank * PER_RANK if rank else 0
    return pixels * channels * PER_ELEMENT + pixels * PER_PIXEL + channels * (PER_CHANNEL + across) + PER_LAYER


def taken(operator: Operator) -> float:
    """The least instructions that `operator` takes as it is."""
    size = operator.outputs[0].size
    if operator.view:
        return 0
    if not isinstance(operator, Weighted):
        return OTHER * size
    kinds = {Conv2D: CONVOLUTION, DepthwiseConv2D: DEPTHWISE}
    return operator.macs * next((rate for kind, rate in kinds.items() if isinstance(operator, kind)), DENSE) + (
        FINISHED * size
    )


def within(graph: Graph, able: Sequence[str], budget: float, worth: Callable[[], Worth], rank: int = 0) -> list[str]:
    """Of the layers `able`, in program order, the best that add at most `budget` percent to `graph` together.

    `graph` is int8 to int8; `worth` is asked for only where not all layers fit: it says of some layers, live together,
    what each of them does; `rank` is that of their term across channels. Raises UsageError where not one layer fits.
    """
    operators = {operator.name: operator for operator in graph.operators}
    fused = graph
    for step in PASSES.values():
        fused = step(fused)
    room = budget / 100 * sum(taken(operator) for operator in fused.operators)
    costs = {name: added(operators[name], rank) for name in able}
    if sum(costs.values()) <= room:
        return list(able)
    least = min(able, key=lambda name: costs[name])
    if costs[least] > room:
        share = 100 * costs[least] * budget / 100 / room
        raise UsageError(
            f"--adapt-budget {budget:g}: no layer can be live for so little; {least} alone adds about {share:.2g} %"
        )
    gains = worth()
    chosen, dropped = list(able), list[str]()
    while sum(costs[name] for name in chosen) > room:
        found = gains(chosen)
        dropped.append(min(chosen, key=lambda name: found[name] / costs[name]))
        chosen.remove(dropped[-1])
    for name in reversed(dropped):
        if sum(costs[other] for other in chosen) + costs[name] <= room:
            chosen.append(name)
    return [name for name in able if name in chosen]


def alone(
    graph: Graph,
    sources: Mapping[str, Source],
    constants: Callable[[Source], Constants],
    samples: Sequence[tuple[Array, ...]],
    progress: Progress | None = None,
) -> Worth:
    """By how much each layer, live by itself, brings the outputs on shifted samples closer to those on the samples."""
    bad = [shifted(sample, graph.inputs, number) for number, sample in enumerate(samples)]
    wanted = _outputs(graph, samples)
    apart = _distance(_outputs(graph, bad), wanted)
    found: dict[str, float] = {}
    for name, source in sources.items():
        live = adapt(graph, Adaptation("", graph.sha256, {name: constants(source)}))
        found[name] = apart - _distance(_outputs(live, bad), wanted)
        if progress is not None:
            progress(len(found), len(sources))
    return lambda names: {name: found[name] for name in names}


def shifted(sample: tuple[Array, ...], tensors: Sequence[Tensor], number: int) -> tuple[Array, ...]:
    """A copy with less contrast, another level and noise: what any kind of sensor may do."""
    random = np.random.default_rng((SEED, number))
    contrast, level, noise = random.uniform(0.3, 0.8), random.uniform(-40, 40), random.uniform(4, 20)
    found: list[Array] = []
    for values, tensor in zip(sample, tensors, strict=True):
        if not tensor.stands_for_reals:
            found.append(values)
            continue
        real = values.astype(np.float64)
        moved = contrast * (real - real.mean()) + real.mean() + level + random.normal(0, noise, values.shape)
        found.append(np.clip(np.rint(moved), *tensor.limits).astype(tensor.dtype))
    return tuple(found)


def _outputs(graph: Graph, samples: Sequence[tuple[Array, ...]]) -> list[list[NDArray[np.int64]]]:
    """Of each sample, each output in steps of its quantisation."""
    found = []
    for sample in samples:
        values: dict[str, Array] = {t.name: v.reshape(t.shape) for t, v in zip(graph.inputs, sample, strict=True)}
        for operator in graph.operators:
            arguments = [values[t.name] if t.data is None else t.data for t in operator.inputs]
            values |= {t.name: v for t, v in zip(operator.outputs, operator.spec(*arguments), strict=True)}
        found.append([values[tensor.name].astype(np.int64) for tensor in graph.outputs])
    return found


def _distance(found: list[list[NDArray[np.int64]]], wanted: list[list[NDArray[np.int64]]]) -> float:
    """The mean over the samples of the summed absolute differences."""
    pairs = zip(chain.from_iterable(found), chain.from_iterable(wanted), strict=True)
    return sum(int(np.abs(a - b).sum()) for a, b in pairs) / len(found)
