"""After this pass the channels between two layers reach alike, so that one scale for the tensor serves them all.

A channel may be divided by any positive factor where a layer computes it and multiplied where the next reads it:
ReLU and the absence of an activation do not see it. Nothing else about the float Graph changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.evaluate import batches, trace
from driftc.codegen.graph import Graph
from driftc.codegen.operators.attributes import Activation
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.tensor import Array, Tensor

FURTHEST = 16.0  # a factor's largest distance from the others, either way
TENSOR = 0.75  # how much the tensor counts beside the weights that read it: its rounding is the larger noise


def equalize(graph: Graph, inputs: Sequence[Array]) -> tuple[Graph, dict[str, NDArray[np.float64]]]:
    """`inputs` are samples: how far each channel reaches is measured on them.

    With the Graph comes what each layer's channels were divided by: operator name -> [channels].
    """
    reach = _reach(graph, inputs)
    readers = graph.consumers()
    leaving = {tensor.name for tensor in graph.outputs}
    changed: dict[str, Weighted] = {}
    divided: dict[str, NDArray[np.float64]] = {}
    for operator in graph.operators:
        output = operator.outputs[0].name
        if not isinstance(operator, Weighted) or output in leaving or len(readers.get(output, [])) != 1:
            continue
        follower = readers[output][0]
        if operator.activation not in (Activation.NONE, Activation.RELU) or not _pairs(operator, follower):
            continue
        first = changed.get(operator.name, operator)
        second = changed.get(follower.name, follower)
        assert isinstance(second, Conv2D | DepthwiseConv2D)
        factors = _factors(reach[output], second)
        changed[first.name] = _divided(first, factors)
        divided[first.name] = factors
        changed[second.name] = _multiplied(second, factors)
    return graph.with_operators([changed.get(operator.name, operator) for operator in graph.operators]), divided


def _pairs(operator: Weighted, follower: Operator) -> bool:
    if isinstance(follower, DepthwiseConv2D):
        return follower.multiplicity == 1 and operator.channels == follower.channels
    return isinstance(follower, Conv2D) and follower.groups == 1


def _reach(graph: Graph, inputs: Sequence[Array]) -> Mapping[str, NDArray[np.float64]]:
    """The largest magnitude of each channel of each weighted layer's output."""
    found: dict[str, NDArray[np.float64]] = {}
    for batch in batches(inputs):
        for operator, _, (result, *_) in trace(graph, batch):
            if isinstance(operator, Weighted):
                largest = np.abs(result).reshape(-1, operator.channels).max(axis=0).astype(np.float64)
                name = operator.outputs[0].name
                found[name] = np.maximum(found[name], largest) if name in found else largest
    return found


def _factors(reach: NDArray[np.float64], follower: Conv2D | DepthwiseConv2D) -> NDArray[np.float64]:
    """Depthwise weights have a scale per channel, so that the tensor alone counts; other weights pay for it."""
    alive = reach > 0
    if not alive.any():
        return np.ones_like(reach)
    factors = np.where(alive, reach, 1.0)
    if isinstance(follower, Conv2D):
        assert follower.weights.data is not None
        weights = np.abs(follower.weights.data).max(axis=(0, 1, 2)).astype(np.float64)
        factors = factors**TENSOR / np.where(weights > 0, weights, 1.0) ** (1 - TENSOR)
    middle = float(np.exp(np.mean(np.log(factors[alive]))))
    return np.where(alive, np.clip(factors / middle, 1 / FURTHEST, FURTHEST), 1.0)


def _divided(operator: Weighted, factors: NDArray[np.float64]) -> Weighted:
    assert operator.weights.data is not None
    shape = [1] * operator.weights.data.ndim
    shape[operator.channel_axis] = -1
    bias = operator.bias
    if bias is not None and bias.data is not None:
        bias = replace(bias, data=(bias.data / factors).astype(np.float32))
    return replace(operator, weights=_with(operator.weights, operator.weights.data / factors.reshape(shape)), bias=bias)


def _multiplied(operator: Conv2D | DepthwiseConv2D, factors: NDArray[np.float64]) -> Weighted:
    """Input channels lie on the last axis of either's weights."""
    assert operator.weights.data is not None
    return replace(operator, weights=_with(operator.weights, operator.weights.data * factors))


def _with(tensor: Tensor, data: Array) -> Tensor:
    return replace(tensor, data=data.astype(np.float32))
