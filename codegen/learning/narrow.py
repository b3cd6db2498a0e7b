"""Learning with masters of int16: half the RAM for them, and a number by which each step rounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from driftc.codegen.graph import Graph, State
from driftc.codegen.learning.layers import part
from driftc.codegen.learning.lesson import Lesson
from driftc.codegen.names import Names
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.learn.conv_update import ConvUpdate
from driftc.codegen.operators.learn.dense_update import DenseUpdate
from driftc.codegen.operators.learn.narrow import GOLDEN, NextNoise, is_narrow
from driftc.codegen.operators.learn.norm_update import NormUpdate
from driftc.codegen.tensor import Tensor

NOISE = "noise"
UPDATES = (DenseUpdate, ConvUpdate, NormUpdate)


def with_narrow_masters(graph: Graph, lesson: Lesson) -> Graph:
    """`graph`, a model that learns, with masters of weights as `lesson` has them; those of biases stay int32.

    Where they are int16 the states get one more, NOISE.
    """
    if lesson.masters == 32:
        return graph
    states: list[State] = []
    for state in graph.states:
        what = part(state.tensor)
        if what.endswith("masters") and not what.endswith("bias masters"):
            tensor = replace(state.tensor, dtype=np.dtype(np.int16))
            state = replace(state, tensor=tensor, initial=state.initial.astype(np.int16))
        states.append(state)
    owner, label = (text.rsplit("/", 1)[0] for text in (states[0].tensor.name, states[0].tensor.label))
    noise = Tensor(f"{owner}/{NOISE}", (1,), np.dtype(np.int32), label=f"{label}/{NOISE}")
    first = np.array([lesson.seed * GOLDEN % 2**32], np.uint32).view(np.int32)
    return replace(graph, states=(*states, State(noise, first, noise.name)))


def with_noise(step: Graph) -> Graph:
    """`step`, whose states are those of `with_narrow_masters`, with updates that round by NOISE, and the next one."""
    noise = next((s.tensor for s in step.states if s.tensor.name.endswith(f"/{NOISE}")), None)
    if noise is None:
        return step
    operators: list[Operator] = []
    names = Names()
    for operator in step.operators:
        names.taken.add(operator.name)
        if isinstance(operator, UPDATES) and is_narrow(operator.inputs[0]):
            operator = replace(operator, inputs=(*operator.inputs, noise))
            operator.check()
        operators.append(operator)
    after = replace(noise, name=f"{noise.name} next")
    operators.append(NextNoise(name=names.unique("next_noise"), label="noise", inputs=(noise,), outputs=(after,)))
    states = tuple(replace(s, next=after.name) if s.tensor is noise else s for s in step.states)
    return step.with_operators(operators, states=states)
