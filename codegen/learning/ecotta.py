"""A meta network behind the global pool that learns from its own decisions, without labels, sample by sample.

The frozen network, a light affine map, entropy minimisation of samples that are certain enough and an L1 that holds
the map near the identity are EcoTTA's (arXiv 2303.01904); that the stream must be mixed, and the balance of decisions,
are not (learning.md, part 3, section 4). Before anything is learnt every byte is that of the network without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np

from driftc.codegen.graph import Graph, State
from driftc.codegen.learning.fixed import mantissas
from driftc.codegen.learning.layers import part
from driftc.codegen.learning.learner import NO_SAMPLE, OK
from driftc.codegen.learning.lesson import Meta
from driftc.codegen.learning.parts import Backward, Errors, Rates, ends, kept_input, with_maps
from driftc.codegen.learning.tail import ancestors
from driftc.codegen.learning.trainable import learnable, row_scales
from driftc.codegen.names import Names
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.learn.cross_entropy import OCTAVE, ONE
from driftc.codegen.operators.learn.dense_transposed import DenseTransposed
from driftc.codegen.operators.learn.entropy import EntropyGradient
from driftc.codegen.operators.learn.errors import PooledErrors
from driftc.codegen.operators.learn.meta import (
    GAIN_FRACTION,
    OFFSET_FRACTION,
    UNITY,
    MetaAffine,
    PoolFinish,
    PoolSums,
    sums_type,
)
from driftc.codegen.operators.learn.meta_running import MetaNorm, MetaStatistics, PoolSquares, level
from driftc.codegen.operators.learn.meta_update import MetaUpdate
from driftc.codegen.operators.reduction.average_pool_2d import AveragePool2D
from driftc.codegen.operators.reduction.mean import Mean
from driftc.codegen.operators.state.copy import Copy
from driftc.codegen.tensor import Array, Tensor

SUFFIX = "_meta"  # of the C that the step is emitted as
FEWEST = 3  # classes: of two, one always has more decisions than the rule lets pass
ENTROPY = 0.4  # of its largest value: below, a sample is certain enough
ANY_ENTROPY = 1 << 20  # where nothing but statistics moves, for which any sample will do; Q.12
HOLD = 8.0  # lambda of the L1
REACH = 2.0  # of the offsets, in real values
INT16, INT32 = np.dtype(np.int16), np.dtype(np.int32)


@dataclass(frozen=True, eq=False)
class Place:
    """Where the meta network goes: the global pool, and the dense layer that decides from it."""

    pool: Mean | AveragePool2D
    dense: FullyConnected

    @property
    def pixels(self) -> int:
        height, width, _ = self.pool.inputs[0].hwc
        return height * width

    @property
    def features(self) -> int:
        return self.pool.inputs[0].hwc[2]


def place_of(graph: Graph) -> Place:
    """Raises ModelError where there is none, with the reason."""
    dense = learnable(graph)
    if dense.channels < FEWEST:
        dense.refuse(
            f"--learn ecotta needs {FEWEST} classes or more: of {dense.channels} one always has so many of the "
            "decisions that nothing is learnt"
        )
    made = graph.producers()
    maker = made.get(dense.inputs[0].name)
    while maker is not None and maker.view:
        maker = made.get(maker.inputs[0].name)
    if not isinstance(maker, Mean | AveragePool2D):
        _refuse(dense, maker)
    if isinstance(maker, Mean):
        covered = maker.by_channel
    else:
        covered = maker.outputs[0].hwc[:2] == (1, 1) and not any(maker.padding)
    size = maker.outputs[0].size
    if not covered or size != dense.weights.shape[1] or maker.inputs[0].hwc[2] != size:
        _refuse(dense, maker)
    if len(graph.consumers()[maker.outputs[0].name]) > 1:
        maker.refuse("--learn ecotta needs a pool that only the last dense layer reads")
    return Place(maker, dense)


def _refuse(dense: FullyConnected, maker: Operator | None) -> NoReturn:
    found = "the model's input" if maker is None else f"{maker.kind} '{maker.label or maker.name}'"
    dense.refuse(
        f"--learn ecotta needs a global average pool before the last dense layer, but it reads {found}; --learn "
        "classifier does not"
    )


def adaptive(graph: Graph, lesson: Meta) -> Graph:
    """`graph` with the meta network behind its pool.

    The states, in order: means int16 [C] and shares int16 [C] (Q.15), sums int16 or int32 [1, F] and logits int8 [1, C]
    of the last inference; where statistics run, centres int32 [F] (Q.16), spreads int32 [F] (Q.12) and squares int32
    [1, F] of the last inference; but for a rate of 0, gains int32 [F] (Q.24), offsets int32 [F] (Q.20) and distance
    int16 [1] (Q.15), how far these have been from the frozen network of late; and where there is more than one part,
    sample int8 of the last inference, and `gains N` and `offsets N` alike of the map at the end of part N.
    """
    place = place_of(graph)
    pool, dense = place.pool, place.dense
    features, classes, label = place.features, dense.channels, pool.label or pool.name

    def tensor(what: str, shape: tuple[int, ...], dtype: np.dtype[np.signedinteger], at: str = "") -> Tensor:
        return Tensor(f"{pool.name}/{what}", shape, dtype, label=f"{label}/{at or what}")

    means, shares = tensor("means", (classes,), INT16), tensor("shares", (classes,), INT16)
    kind = sums_type(place.pixels)
    sums, summed = tensor("sums", (1, features), kind), tensor("sums given", (1, features), kind, "sums")
    logits = replace(tensor("logits", (1, classes), np.dtype(np.int8)), quantization=dense.outputs[0].quantization)
    given = replace(logits, name=f"{pool.name}/logits given")
    even = np.full(classes, round(ONE / classes), np.int16)
    states = [
        State(means, even, means.name),
        State(shares, even, shares.name),
        State(sums, np.zeros((1, features), kind), summed.name),
        State(logits, np.zeros((1, classes), np.int8), given.name),
    ]
    forward: list[Operator] = [
        PoolSums(name=f"{pool.name}_sums", label=pool.label, inputs=pool.inputs, outputs=(summed,)),
    ]
    moved = summed
    if lesson.running:
        centres, spreads = tensor("centres", (features,), INT32), tensor("spreads", (features,), INT32)
        squares = tensor("squares", (1, features), INT32)
        squared = replace(squares, name=f"{pool.name}/squares given")
        moved = tensor("normed", (1, features), kind if lesson.rate else INT32)
        forward += [
            PoolSquares(name=f"{pool.name}_squares", label=pool.label, inputs=pool.inputs, outputs=(squared,)),
            _norm(lesson, place, f"{pool.name}_norm", (summed, centres, spreads), moved),
        ]
        states += [
            State(centres, np.array(lesson.centres, np.int32), centres.name),
            State(spreads, np.array(lesson.spreads, np.int32), spreads.name),
            State(squares, np.zeros((1, features), np.int32), squared.name),
        ]
    if lesson.rate:
        gains, offsets = tensor("gains", (features,), INT32), tensor("offsets", (features,), INT32)
        distance = tensor("distance", (1,), INT16)
        inputs, moved = (moved, gains, offsets), tensor("moved", (1, features), INT32)
        forward.append(
            MetaAffine(name=f"{pool.name}_meta", label=pool.label, inputs=inputs, outputs=(moved,), pixels=place.pixels)
        )
        states += [
            State(gains, np.full(features, UNITY, np.int32), gains.name),
            State(offsets, np.zeros(features, np.int32), offsets.name),
            State(distance, np.zeros(1, np.int16), distance.name),
        ]
    finish = PoolFinish(
        name=pool.name, label=pool.label, index=pool.index, inputs=(moved,), outputs=pool.outputs, pool=pool
    )
    keep = Copy(name=f"{dense.name}_logits", label=dense.label, inputs=dense.outputs, outputs=(given,))
    operators: list[Operator] = []
    for operator in graph.operators:
        operators += [*forward, finish] if operator is pool else [operator]
        operators += [keep] if operator is dense else []
    if lesson.parts > 1:
        more, operators = _parts(graph, place, lesson.parts, operators)
        states += more
    for operator in operators:
        operator.check()
    return graph.with_operators(operators, states=tuple(states))


def _parts(graph: Graph, place: Place, count: int, operators: Sequence[Operator]) -> tuple[list[State], list[Operator]]:
    """The states of all parts but the last, and `operators` with their maps and a copy of the input."""
    pool, names = place.pool, Names()
    names.taken |= {operator.name for operator in operators}
    given, places = kept_input(graph), ends(graph, pool.inputs[0], count)
    label = pool.label or pool.name
    sample = replace(given, name=f"{pool.name}/sample", label=f"{label}/sample", index=None)
    copied = replace(sample, name=f"{pool.name}/sample given")
    states = [State(sample, np.zeros(sample.shape, np.int8), copied.name)]
    at: dict[str, Tensor] = {}
    for number, end in enumerate(places, 1):
        for what, start in (("gains", UNITY), ("offsets", 0)):
            name = f"{what} {number}"
            at[name] = Tensor(f"{pool.name}/{name}", end.shape[-1:], INT32, label=f"{label}/{name}")
            states.append(State(at[name], np.full(at[name].shape, start, np.int32), at[name].name))
    keep = Copy(name=names.unique("sample"), label=pool.label, inputs=(given,), outputs=(copied,))
    found = with_maps(operators, places, at, names)
    first = next(n for n, operator in enumerate(found) if given.name in {tensor.name for tensor in operator.inputs})
    return states, [*found[:first], keep, *found[first:]]


def _norm(lesson: Meta, place: Place, name: str, inputs: tuple[Tensor, ...], normed: Tensor) -> MetaNorm:
    levels = level(np.array(lesson.spreads, np.int64)).astype(np.int32)
    return MetaNorm(
        name=name, label=place.pool.label, inputs=inputs, outputs=(normed,), pixels=place.pixels,
        source=np.array(lesson.centres, np.int32), level=levels,
    )  # fmt: skip


def meta_step(graph: Graph, place: Place, lesson: Meta) -> Graph:
    """One step of learning from what the last inference left in the states of `graph`, as `adaptive` made it.

    Output: int32 [2], the gradient's exponent and what became of the sample: 0 (nothing changed), 1 (learnt from) or 2
    (returned to the frozen network). Raises ModelError.
    """
    states = {part(state.tensor): state for state in graph.states}
    dense = place.dense
    classes = dense.channels
    at = {name: state.tensor for name, state in states.items()}
    read = {"sums", "logits", "squares", "sample"}
    after = {name: replace(t, name=f"{t.name} next") for name, t in at.items() if name not in read}
    scale = float(dense.outputs[0].scale)
    rows = row_scales(dense, dense.channels)
    gradient = Tensor("learn/gradient", (1, classes), INT16, label="gradient")
    info = Tensor("learn/info", (2,), INT32, label="info")
    forward = _forward(graph, place, at) if lesson.parts > 1 else []
    names = Names()
    names.taken |= {operator.name for operator in forward}
    operators: list[Operator] = []
    sums = at["sums"]
    if lesson.running:
        given = tuple(at[name] for name in ("sums", "squares", "centres", "spreads", "shares"))
        if lesson.rate:
            sums = replace(sums, name="learn/normed", label="normed")
            operators.append(_norm(lesson, place, "norm", (at["sums"], at["centres"], at["spreads"]), sums))
        operators.append(
            MetaStatistics(
                name="statistics", label="statistics", inputs=given, outputs=(after["centres"], after["spreads"]),
                pixels=place.pixels, bits=lesson.running, source=np.array(lesson.centres, np.int32),
                spread=np.array(lesson.spreads, np.int32),
            )
        )  # fmt: skip
    operators.append(
        EntropyGradient(
            name=names.unique("entropy"), label="entropy", inputs=(at["logits"], at["means"], at["shares"]),
            outputs=(gradient, info, after["means"], after["shares"]),
            octave=round(scale / np.log(2) * OCTAVE * 256), nat=round(scale * 2**20),
            limit=int(ENTROPY * np.log(classes) * 4096) if lesson.rate else ANY_ENTROPY,
            scale=np.rint(rows / rows.max() * ONE).astype(np.int32),
        )
    )  # fmt: skip
    told = info
    if lesson.rate:
        told = replace(info, name="learn/told", label="told")
        update = _update(place, lesson, (gradient, info, told), at | {"sums": sums}, after, names)
        operators += update
        if forward:
            (through,) = update[0].outputs
            operators = _through_parts(place, lesson, forward, operators, (through, info, told), at, after, names)
    for operator in operators:
        operator.check()
    following = {at[name].name: tensor.name for name, tensor in after.items()}
    kept = tuple(State(s.tensor, s.initial, following.get(s.tensor.name, s.tensor.name)) for s in graph.states)
    made = Graph(f"{graph.name}{SUFFIX}", tuple(operators), (), (told,), graph.source, graph.sha256, states=kept)
    made.check()
    return made


def _forward(graph: Graph, place: Place, at: dict[str, Tensor]) -> list[Operator]:
    """What makes the pool's input, from the sample that is kept."""
    given = kept_input(graph)
    found = ancestors(graph, [place.pool.inputs[0]], given)
    return [
        replace(operator, inputs=tuple(at["sample"] if t.name == given.name else t for t in operator.inputs))
        for operator in found
    ]


def _through_parts(
    place: Place, lesson: Meta, forward: list[Operator], operators: list[Operator],
    slope: tuple[Tensor, Tensor, Tensor], at: dict[str, Tensor], after: dict[str, Tensor], names: Names,
) -> list[Operator]:  # fmt: skip
    """`operators` between the network anew and what the ends of its parts learn. `slope`: by the pooled features."""
    through, info, told = slope
    errors = Errors(
        Tensor("learn/errors", through.shape, INT16, label="errors"), Tensor("learn/power", (1,), INT32, label="power")
    )
    pooled = PooledErrors(
        name=names.unique("pooled_errors"), label="errors", inputs=(through, at["gains"], info), outputs=errors.both
    )
    unit = float(row_scales(place.dense, place.dense.channels).max()) / 2.0 ** (27 + GAIN_FRACTION) / place.pixels
    names.taken |= {operator.name for operator in operators}
    rates = Rates(unit, lesson.rate, HOLD, REACH)
    back = Backward(forward, at, after, told, rates, names)
    learnt = back.run(place.pool.inputs[0], errors)
    last = next(n for n, operator in enumerate(operators) if through.name in {t.name for t in operator.outputs}) + 1
    return [*back.forward, *operators[:last], pooled, *operators[last:], *learnt]


def _update(
    place: Place, lesson: Meta, slope: tuple[Tensor, Tensor, Tensor], at: dict[str, Tensor], after: dict[str, Tensor],
    names: Names,
) -> list[Operator]:  # fmt: skip
    """Of gains and offsets, by the gradient of the logits and its exponent; the last of `slope` says what was done."""
    dense, features = place.dense, place.features
    gradient, info, told = slope
    unit = float(place.pool.inputs[0].scale)
    through = Tensor("learn/through", (1, features), INT32, label="through")
    assert dense.weights.data is not None
    step = lesson.rate * float(row_scales(dense, dense.channels).max()) / 2.0**27
    return [
        DenseTransposed(
            name=names.unique("transposed"), label="transposed", inputs=(gradient,), outputs=(through,),
            weights=dense.weights.data,
        ),
        MetaUpdate(
            name=names.unique("update"), label="update",
            inputs=(at["gains"], at["offsets"], at["sums"], through, info, at["distance"]),
            outputs=(after["gains"], after["offsets"], told, after["distance"]), pixels=place.pixels,
            gain=_factor(dense, step * unit / place.pixels * 2.0**GAIN_FRACTION),
            hold_gain=_factor(dense, lesson.rate * HOLD * unit / place.pixels / features * 2.0**GAIN_FRACTION),
            offset=_factor(dense, step / unit * 2.0**OFFSET_FRACTION),
            hold_offset=round(lesson.rate * HOLD / features / unit * 2.0**OFFSET_FRACTION),
            bound=min(round(REACH / unit * 2.0**OFFSET_FRACTION), 2**31 - 1),
        ),
    ]  # fmt: skip


def _factor(dense: FullyConnected, real: float) -> tuple[int, int]:
    try:
        found, shift = mantissas(np.array([real]), 62)
    except ValueError:
        dense.refuse("the learning rate is out of range for its scales; --learn-rate decides it")
    return int(found[0]), shift


class MetaLearner:
    """What NAME_adapt.c does, in NumPy. `values`: what each state holds, by what it is."""

    def __init__(self, graph: Graph) -> None:
        """`graph` is what `meta_step` makes."""
        self._graph = graph
        self._initial = {part(state.tensor): state.initial for state in graph.states}
        self.reset()

    def reset(self) -> None:
        """As compiled."""
        self.values: dict[str, Array] = {name: np.array(value) for name, value in self._initial.items()}
        self.inferred = False

    def infer(self, **left: Array) -> None:
        """An inference ended, and left these states: sums, logits, and squares where statistics run."""
        self.values |= {name: np.array(value) for name, value in left.items()}
        self.inferred = True

    def adapt(self) -> int:
        """NAME_adapt: 1 where the sample was learnt from, 2 where it returned to the frozen network, else 0."""
        if not self.inferred:
            return NO_SAMPLE
        self.inferred = False
        found = {state.tensor.name: self.values[part(state.tensor)] for state in self._graph.states}
        for operator in self._graph.operators:
            arguments = [found[tensor.name] for tensor in operator.inputs]
            found |= dict(zip((t.name for t in operator.outputs), operator.spec(*arguments), strict=True))
        for state in self._graph.states:
            self.values[part(state.tensor)] = np.array(found[state.next])
        return int(found[self._graph.outputs[0].name][1])

    def move(self) -> int:
        """Saved, reset, loaded."""
        self.inferred = False
        return OK
