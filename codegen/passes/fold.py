"""After this pass a float Graph has no batch normalisation: it is in its producer's weights, or layers of its own.

Where the producer has no weights, or others read its output too, it becomes a depthwise 1x1 convolution; outside
images, MUL and ADD with constants.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np

from driftc.codegen.graph import Graph
from driftc.codegen.operators.attributes import Activation
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.normalization.batch_normalization import BatchNormalization
from driftc.codegen.tensor import Array, Tensor


def fold(graph: Graph, keep: Collection[str] = ()) -> Graph:
    """Normalisations named in `keep` stay as they are."""
    readers = graph.consumers()
    leaving = {tensor.name for tensor in graph.outputs}
    operators: list[Operator] = []
    made: dict[str, int] = {}  # tensor name -> where in `operators` it is computed
    for operator in graph.operators:
        replacements: list[Operator] = [operator]
        if isinstance(operator, BatchNormalization) and operator.name not in keep:
            source = operator.inputs[0].name
            producer = operators[made[source]] if source in made else None
            alone = len(readers[source]) == 1 and source not in leaving
            if alone and isinstance(producer, Weighted) and producer.activation is Activation.NONE:
                operators[made[source]] = _folded(producer, operator)
                made[operator.outputs[0].name] = made[source]
                continue
            replacements = _standing(operator)
        for replacement in replacements:
            made.update((tensor.name, len(operators)) for tensor in replacement.outputs)
            operators.append(replacement)
    return graph.with_operators(operators)


def _folded(producer: Weighted, norm: BatchNormalization) -> Operator:
    """`producer` with the normalisation in its weights. It keeps its own name and label."""
    assert producer.weights.data is not None
    shape = [1] * producer.weights.data.ndim
    shape[producer.channel_axis] = -1
    weights = producer.weights.data * norm.scale.reshape(shape)
    before = producer.bias.data if producer.bias is not None and producer.bias.data is not None else np.float32(0)
    bias = before * norm.scale + norm.offset
    label = producer.bias.label if producer.bias is not None else f"{producer.label}/bias"
    return replace(
        producer,
        weights=replace(producer.weights, data=weights.astype(np.float32)),
        bias=_constant(f"{producer.name}/bias", bias, label),
        outputs=(replace(norm.outputs[0], label=producer.outputs[0].label),),
    )


def _standing(norm: BatchNormalization) -> list[Operator]:
    """Layers that do what the normalisation does."""
    x, y = norm.inputs[0], norm.outputs[0]
    scale, offset = norm.scale, norm.offset
    common: dict[str, Any] = {"label": norm.label, "index": norm.index}
    if len(x.shape) == 4:
        weights = _constant(f"{norm.name}/weights", scale.reshape(1, 1, 1, -1))
        bias = _constant(f"{norm.name}/bias", offset)
        return [DepthwiseConv2D(name=norm.name, inputs=(x,), outputs=(y,), weights=weights, bias=bias, **common)]
    between = replace(y, name=f"{y.name}/scaled", label=f"{y.label}/scaled")
    factor, addend = _constant(f"{norm.name}/factor", scale), _constant(f"{norm.name}/offset", offset)
    return [
        Mul(name=f"{norm.name}_scale", inputs=(x, factor), outputs=(between,), **common),
        Add(name=norm.name, inputs=(between, addend), outputs=(y,), **common),
    ]


def _constant(name: str, values: Array, label: str = "") -> Tensor:
    return Tensor(name, values.shape, np.dtype(np.float32), None, values.astype(np.float32), label or name)
