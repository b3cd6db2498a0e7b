"""A step of learning class means, as a Graph of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from driftc.codegen.graph import Graph, State
from driftc.codegen.learning.backward import SUFFIX
from driftc.codegen.learning.layers import part
from driftc.codegen.operators.learn.mean_update import MeanUpdate
from driftc.codegen.tensor import Tensor


def mean_step(graph: Graph) -> Graph:
    """Inputs: features int8 [1, F] and label int32 [1]; -1 only decides. Output: the class decided, int32 [1].

    `graph` is what `trainable` made; its states are this one's, of which the masters are written.
    """
    states = {part(state.tensor): state.tensor for state in graph.states}
    x = replace(states["features"], name="features", label="features")
    label = Tensor("label", (1,), np.dtype(np.int32), label="label")
    decided = Tensor("decided", (1,), np.dtype(np.int32), label="decided")
    before = states["masters"], states["bias masters"]
    after = tuple(replace(tensor, name=f"{tensor.name} next") for tensor in before)
    update = MeanUpdate(name="update", label="update", inputs=(*before, x, label), outputs=(decided, *after))
    update.check()
    following = dict(zip((t.name for t in before), (t.name for t in after), strict=True))
    kept = tuple(State(s.tensor, s.initial, following.get(s.tensor.name, s.tensor.name)) for s in graph.states)
    made = Graph(f"{graph.name}{SUFFIX}", (update,), (x, label), (decided,), graph.source, graph.sha256, states=kept)
    made.check()
    return made
