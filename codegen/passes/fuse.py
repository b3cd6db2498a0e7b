"""After this pass padding and clamps that cost a layer of their own are part of the layer beside them.

PAD becomes the padding of the convolution that reads it; RELU and RELU6 that only clamp (equal quantisation) become
the bounds of the layer that computes their input. Both are exact: no byte that stays observable changes.
"""

from __future__ import annotations

from dataclasses import replace

from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.by_sample import BySample
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.operators.elementwise.lookup import Lookup
from driftc.codegen.operators.movement.pad import Pad


def fuse(graph: Graph) -> Graph:
    operators = list(graph.operators)
    fused = dict(graph.fused)
    kept = graph.kept
    readers = graph.consumers()
    position = 0
    while position < len(operators):
        operator = operators[position]
        follower = _only_reader(operator, readers, kept)
        joined = _join(operator, follower) if follower in operators else None
        if joined is None:
            position += 1
            continue
        assert follower is not None
        operators[operators.index(follower)] = joined
        operators.remove(operator)
        fused[operator.outputs[0].name] = joined.name
        for tensor in joined.inputs:
            readers[tensor.name] = [
                joined if reader is follower else reader for reader in readers[tensor.name] if reader is not operator
            ] or [joined]
        for tensor in joined.outputs:
            readers.setdefault(tensor.name, [])
    return replace(graph, operators=tuple(operators), fused=fused)


def _only_reader(operator: Operator, readers: dict[str, list[Operator]], kept: set[str]) -> Operator | None:
    """The one operator that reads the only output, which is no output of the model."""
    if len(operator.outputs) != 1 or operator.outputs[0].name in kept:
        return None
    found = readers.get(operator.outputs[0].name, [])
    return found[0] if len(found) == 1 else None


def _join(operator: Operator, follower: Operator | None) -> Operator | None:
    """The one operator that does the work of both, or None."""
    if isinstance(operator, BySample) or isinstance(follower, BySample):
        return _join_samples(operator, follower)
    if isinstance(operator, Pad) and isinstance(follower, Conv2D | DepthwiseConv2D):
        around = operator.spatial
        source, padded = operator.inputs[0], operator.outputs[0]
        same = padded.quantization is not None and padded.quantization.same_as(source.quantization)
        if around is not None and operator.value == source.zero_point and same:
            total = tuple(a + b for a, b in zip(around, follower.padding, strict=True))
            return replace(follower, inputs=(source,), padding=(total[0], total[1], total[2], total[3]))
    if isinstance(operator, Weighted) and isinstance(follower, Lookup) and follower.clamp is not None:
        low, high = operator.range
        bounds = (max(low, follower.clamp[0]), min(high, follower.clamp[1]))
        if bounds[0] <= bounds[1]:
            return replace(operator, outputs=follower.outputs, bounds=bounds)
    return None


def _join_samples(operator: Operator, follower: Operator | None) -> Operator | None:
    """The same of a batch: around what is done to one sample."""
    if isinstance(follower, BySample) and isinstance(operator, Pad):
        joined = _join(operator, follower.sample)
        return None if joined is None else replace(follower, one=joined, inputs=joined.inputs)
    if isinstance(operator, BySample) and isinstance(follower, Lookup):
        joined = _join(operator.sample, follower)
        return None if joined is None else replace(operator, one=joined, outputs=joined.outputs)
    return None
