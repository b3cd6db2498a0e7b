"""An int8 Graph, run on many samples at once, exactly: layers with weights in the float that holds every sum."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from driftc.codegen.arithmetic import Int64
from driftc.codegen.graph import Graph
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.tensor import Array

AT_ONCE = 32  # samples: the windows of one layer stay within a few MB


def infer(
    graph: Graph, samples: Sequence[Array], seen: Callable[[Weighted, Int64], None] | None = None
) -> dict[str, Array]:
    """Every tensor of n inferences, [n, ...]; `samples` has [n, ...] for each input, and states are as after a reset.

    `seen` is shown each layer's accumulators, [n, pixels, channels].
    """
    count = len(samples[0])
    values = dict(zip((tensor.name for tensor in graph.inputs), samples, strict=True))
    values |= {state.tensor.name: np.stack([state.initial] * count) for state in graph.states}
    for operator in graph.operators:
        if isinstance(operator, Weighted) and len(operator.outputs) == 1:  # not live
            (result,) = operator.outputs
            x = values[operator.inputs[0].name].reshape(-1, *operator.inputs[0].shape[1:])
            accumulators = operator.accumulate_many(x).reshape(count, -1, operator.channels)
            if seen is not None:
                seen(operator, accumulators)
            values[result.name] = operator.requantise(accumulators).reshape(count, *result.shape)
            continue
        found = [
            operator.spec(*(values[t.name][n].reshape(t.shape) if t.data is None else t.data for t in operator.inputs))
            for n in range(count)
        ]
        values |= {t.name: np.stack(parts) for t, parts in zip(operator.outputs, zip(*found, strict=True), strict=True)}
    return values
