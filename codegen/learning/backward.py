"""The backward pass as a Graph of its own: one step of learning from stored features and a label."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.errors import UsageError
from driftc.codegen.graph import Graph, State
from driftc.codegen.learning.fixed import mantissas
from driftc.codegen.learning.layers import Tail, part
from driftc.codegen.learning.lesson import Lesson
from driftc.codegen.learning.narrow import with_noise
from driftc.codegen.learning.through import Through
from driftc.codegen.learning.trainable import row_scales
from driftc.codegen.names import Names
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.learn.cross_entropy import OCTAVE, ONE, CrossEntropy
from driftc.codegen.operators.learn.dense_update import STEP_FRACTION, DenseUpdate
from driftc.codegen.operators.learn.master_sums import BIAS_FRACTION, FRACTION, MasterSums
from driftc.codegen.tensor import Tensor

SUFFIX = "_backward"  # of the C that it is emitted as


def backward(graph: Graph, layer: FullyConnected, lesson: Lesson, tail: Tail | None = None) -> Graph:
    """Inputs: a sample as it is stored, int8; label int32 [1], -1 only decides. Output: the class decided, int32 [1].

    `graph` is what `trainable` made of that in which `layer` and `tail` are; its states are this one's, of which the
    masters are written. Raises ModelError where its scales are out of range, UsageError where the learning rate is.
    """
    states = {part(state.tensor): state.tensor for state in graph.states}
    masters, bias = states["masters"], states["bias masters"]
    classes = masters.shape[0]
    sample = replace(states["features"], name=tail.sample.name if tail else "features", label="features")
    label = Tensor("learn/label", (1,), np.dtype(np.int32), label="label")
    sums = Tensor("learn/sums", (1, classes), np.dtype(np.int32), label="sums")
    gradient = Tensor("learn/gradient", (1, classes), np.dtype(np.int16), label="gradient")
    decided = Tensor("learn/decided", (1,), np.dtype(np.int32), label="decided")
    moved = {name: replace(states[name], name=f"{states[name].name} next") for name in ("masters", "bias masters")}
    unit = float(layer.inputs[0].scale)
    try:
        scale, shift = mantissas(unit * row_scales(layer, classes) * OCTAVE / np.log(2), 46)
    except ValueError:
        layer.refuse("the scales of its input and weights are out of any range in which it could be learnt")
    rate, rate_shift, bias_rate, bias_shift = rates(layer, classes, lesson.rate)
    names = Names()
    names.taken |= {operator.name for operator in (*tail.frozen, *tail.live)} if tail else set()
    x = layer.inputs[0] if tail else sample
    before: list[Operator] = []
    updates: list[Operator] = []
    if tail is not None:
        through = Through(tail, lesson, states, gradient, label, names)
        before, updates = [*tail.frozen, *through.forward], through.operators
        moved |= through.following
    operators: list[Operator] = [
        *before,
        MasterSums(name=names.unique("sums"), label="sums", inputs=(x, masters, bias), outputs=(sums,)),
        CrossEntropy(
            name=names.unique("gradient"), label="gradient", inputs=(sums, label), outputs=(gradient, decided),
            scale=scale, shift=shift,
        ),
        *updates,
        DenseUpdate(
            name=names.unique("update"), label="update", inputs=(masters, bias, x, gradient),
            outputs=(moved["masters"], moved["bias masters"]), rate=rate, shift=rate_shift, bias_rate=bias_rate,
            bias_shift=bias_shift,
        ),
    ]  # fmt: skip
    for operator in operators:
        operator.check()
    kept = tuple(State(s.tensor, s.initial, moved.get(part(s.tensor), s.tensor).name) for s in graph.states)
    made = Graph(
        f"{graph.name}{SUFFIX}", tuple(operators), (sample, label), (decided,), graph.source, graph.sha256, states=kept
    )
    made.check()
    return with_noise(made)


def rates(layer: FullyConnected, classes: int, rate: float) -> tuple[NDArray[np.int32], int, NDArray[np.int32], int]:
    """DENSE_UPDATE's constants for a learning rate of real weights. Raises UsageError where it is out of range."""
    unit, scales = float(layer.inputs[0].scale), row_scales(layer, classes)
    try:
        weights = mantissas(rate * unit / scales * 2.0 ** (FRACTION + STEP_FRACTION) / ONE, 30)
        biases = mantissas(rate / (unit * scales) * 2.0**BIAS_FRACTION / ONE, 46)
    except ValueError:
        raise UsageError(
            f"--learn-rate {rate:g}: out of range for the scales of layer '{layer.label or layer.name}'"
        ) from None
    return (*weights, *biases)


def fastest(layer: FullyConnected, classes: int) -> float:
    """The largest learning rate that DENSE_UPDATE admits: a gradient of 1 moves a weight by 2^22 / 2^20 of it."""
    return 0.99 * 4 * float(row_scales(layer, classes).min()) / float(layer.inputs[0].scale)
