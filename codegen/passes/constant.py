"""After this pass output channels that are the same for every input are gone, with all that only they needed.

Interval arithmetic, channel by channel, bounds what each tensor can hold: a channel whose two bounds are equal is
constant. Who reads it folds its value into the bias, where that is exact: everywhere but at the border of a padded
convolution, unless the constant is the zero point, which is what padding holds. What nobody needs then is not
computed, and `Graph.removed` says what was removed and what it held: verify compares it with the reference.

Exact: no byte that is still computed changes. Live layers, and all that reads or writes states, are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.graph import Graph, Removed, Saved
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.operators.ranges import Ranges, full
from driftc.codegen.passes.needed import Keep, Known, bounds_of, needed
from driftc.codegen.tensor import Tensor


def constant(graph: Graph) -> Graph:
    known = ranges(graph)
    if not any((bounds[0] == bounds[1]).any() for bounds in known.values()):
        return graph
    keep = needed(graph, known)
    removed = {name: _removed(kept, known[name]) for name, kept in keep.items() if not kept.all()}
    if not removed:
        return graph
    shrunk = _Shrunk(keep, known)
    operators = [shrunk.operator(operator) for operator in graph.operators]
    left = [operator for operator in operators if operator is not None]
    return replace(
        graph,
        operators=tuple(left),
        removed={**graph.removed, **removed},
        saved=_saved(graph, left, removed),
    )


def ranges(graph: Graph) -> dict[str, Ranges]:
    """Bounds of each channel of every int8 tensor that an inference computes or is given."""
    known: dict[str, Ranges] = {tensor.name: full(tensor) for tensor in graph.tensors()}
    for operator in graph.operators:
        found = operator.channel_ranges(bounds_of(operator, known)) if len(operator.outputs) == 1 else None
        if found is not None:
            known[operator.outputs[0].name] = found
    return known


def _removed(kept: NDArray[np.bool_], bounds: Ranges) -> Removed:
    low, high = bounds
    same = low == high
    return Removed(np.flatnonzero(kept), np.where(same, low, 0).astype(np.int8), ~kept & same)


def _saved(graph: Graph, left: list[Operator], removed: Mapping[str, Removed]) -> Saved:
    return Saved(
        channels=sum(each.count for each in removed.values()),
        layers=len(graph.operators) - len(left),
        macs=sum(o.macs for o in graph.operators) - sum(o.macs for o in left),
        weight_bytes=_weights(graph.operators) - _weights(left),
    )


def _weights(operators: Sequence[Operator]) -> int:
    return sum(operator.weights.bytes for operator in operators if isinstance(operator, Weighted))


class _Shrunk:
    """The operators on the channels that are kept."""

    def __init__(self, keep: Keep, known: Known) -> None:
        self._keep, self._known = keep, known

    def operator(self, operator: Operator) -> Operator | None:
        """None where nothing that it computes is needed."""
        outputs = tuple(self._tensor(tensor) for tensor in operator.outputs)
        if any(tensor.size == 0 for tensor in outputs):
            return None
        changed = self._keep.keys() & {tensor.name for tensor in (*operator.inputs, *operator.outputs)}
        if not changed or all(self._keep[name].all() for name in changed):
            return operator
        if isinstance(operator, Weighted):
            source = operator.inputs[0]
            there = self._keep.get(source.name, np.ones(source.hwc[2], bool))
            made = self._keep.get(operator.outputs[0].name, np.ones(operator.channels, bool))
            values = self._known[source.name][0]
            cut = operator.on_channels((self._tensor(source),), outputs, there, made, values)
            low, high = (bound[made] for bound in self._known[operator.outputs[0].name])
            return cut.settled(low == high, low)
        kept = self._keep[operator.outputs[0].name]
        inputs = tuple(self._tensor(t) if t.data is None else _cut(t, kept) for t in operator.inputs)
        return replace(operator, inputs=inputs, outputs=outputs)

    def _tensor(self, tensor: Tensor) -> Tensor:
        kept = self._keep.get(tensor.name)
        return tensor if kept is None else _cut(tensor, kept)


def _cut(tensor: Tensor, kept: NDArray[np.bool_]) -> Tensor:
    """The channels that are `kept`."""
    if kept.all():
        return tensor
    data = None if tensor.data is None else np.ascontiguousarray(tensor.data[..., kept])
    return replace(tensor, shape=(*tensor.shape[:-1], int(kept.sum())), data=data)
