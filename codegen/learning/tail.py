"""The tail of a Graph that learns: its last convolution, and what lies between it and the dense layer that decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import numpy as np

from driftc.codegen.errors import ModelError
from driftc.codegen.graph import Graph
from driftc.codegen.learning.layers import Learnt, Normalised, Tail, averages_all
from driftc.codegen.learning.trainable import learnable
from driftc.codegen.operators.adapt.adapt_affine import AdaptAffine
from driftc.codegen.operators.adapt.adapt_kernel import AdaptKernel
from driftc.codegen.operators.adapt.adapt_rank import AdaptRank
from driftc.codegen.operators.adapt.adapt_trust import AdaptTrust
from driftc.codegen.operators.adapt.live import Live
from driftc.codegen.operators.adapt.tensor_statistics import TensorStatistics
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.conversion.quantize import Quantize
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.learn.trained_conv import Convolution
from driftc.codegen.operators.reduction.average_pool_2d import AveragePool2D
from driftc.codegen.operators.reduction.max_pool_2d import MaxPool2D
from driftc.codegen.tensor import Tensor

FROZEN = Conv2D | DepthwiseConv2D | FullyConnected
ADAPTS = AdaptAffine | AdaptKernel | AdaptRank | AdaptTrust | TensorStatistics  # whose multipliers are constants


def tail_of(graph: Graph, fed: bool = False, count: int = 1) -> Tail:
    """The tail of the last `count` convolutions; `fed`: the input arrives row by row, and cannot be stored.

    Raises ModelError where there is none that could learn, with the reason.
    """
    dense = learnable(graph)
    before = ancestors(graph, [dense.inputs[0]])
    depth: dict[str, int] = {}
    for operator in before:
        depth[operator.name] = 1 + max((depth[made] for made in _makers(graph, operator)), default=0)
    found = [operator for operator in before if isinstance(operator, Conv2D | DepthwiseConv2D)]
    if not found:
        dense.refuse("--learn last trains the last convolution too, but there is none before it; --learn classifier is")
    last = max(found, key=lambda operator: (depth[operator.name], before.index(operator)))
    chain = [op for op in ancestors(graph, [last.inputs[0]]) if isinstance(op, Conv2D | DepthwiseConv2D)]
    if len(chain) < count - 1:
        last.refuse(f"--learn-layers {count}: but {len(chain)} convolutions lead to it")
    chain.sort(key=lambda operator: depth[operator.name])
    return _tail(graph, dense, [_learnt(graph, layer) for layer in (*chain[len(chain) + 1 - count :], last)], fed)


def named_tail(graph: Graph, names: Sequence[str], sample: str) -> Tail:
    """The tail of these layers, on samples that are kept at the tensor `sample`. Raises ModelError, KeyError."""
    known = {operator.name: operator for operator in graph.operators}
    layers = [known[name] for name in names]
    convolutions = [_learnt(graph, layer) for layer in layers if isinstance(layer, Conv2D | DepthwiseConv2D)]
    for fed in (False, True):
        found = _tail(graph, learnable(graph), convolutions, fed)
        if found.sample.name == sample and len(convolutions) == len(names):
            return found
    raise KeyError(sample)


def _learnt(graph: Graph, layer: Convolution) -> Learnt:
    """What learns of it: of a live layer its normalisation."""
    if not isinstance(layer, Live):
        return layer
    (affine,) = (op for op in graph.consumers()[layer.outputs[0].name] if isinstance(op, AdaptAffine))
    return Normalised(layer, affine)


def _tail(graph: Graph, dense: FullyConnected, layers: Sequence[Learnt], fed: bool) -> Tail:
    trained = {layer.name for layer in layers}
    moved: set[str] = set()
    live: list[Operator] = []
    for operator in ancestors(graph, [dense.inputs[0]]):
        if operator.name in trained or any(tensor.name in moved for tensor in operator.inputs):
            _check(graph, operator, operator.name in trained, dense)
            live.append(operator)
            moved |= {tensor.name for tensor in operator.outputs}
    read = {t.name: t for op in live for t in op.inputs if t.name not in moved and t.data is None}
    cuts = list(read.values())
    given = model_input(graph)
    length = sum(tensor.size for tensor in cuts)
    if given is not None and not fed and (len(cuts) > 1 or given.size < length):
        return Tail(dense, tuple(layers), tuple(live), given, tuple(ancestors(graph, cuts, given)))
    if len(cuts) != 1:
        _refuse_samples(layers[0], fed)
    return Tail(dense, tuple(layers), tuple(live), cuts[0], ())


def _refuse_samples(first: Learnt, fed: bool) -> NoReturn:
    why = "--feed rows does not keep inputs" if fed else "the model has no single int8 input"
    first.refuse(
        f"what is learnt with it reads several tensors, so that samples would be stored as inputs, but {why}; --learn "
        "classifier stores what the dense layer reads"
    )


def _check(graph: Graph, operator: Operator, trained: bool, dense: FullyConnected) -> None:
    """Refuse what no gradient flows through here."""
    if trained and not isinstance(operator, Live):
        assert isinstance(operator, Conv2D | DepthwiseConv2D)
        if np.abs(operator.raw_bias).max() >= 1 << 26:
            operator.refuse("its bias is too large in steps of the accumulator to be learnt")
        return
    if operator.view:
        return
    if isinstance(operator, Add) and len({t.shape for t in (*operator.inputs, *operator.outputs)}) == 1:
        return
    if isinstance(operator, AveragePool2D | MaxPool2D | FROZEN | ADAPTS) or averages_all(operator):
        return
    _refuse(graph, operator, dense)


def _refuse(graph: Graph, operator: Operator, dense: FullyConnected) -> NoReturn:
    raise ModelError(
        f"{graph.source}: {operator.kind} '{operator.label or operator.name}' lies between a convolution that learns "
        f"and '{dense.label or dense.name}', and --learn last has no gradient through it: it knows convolutions and "
        "dense layers, live or not, ADD of maps of one shape, pooling, an average over a whole map, and changes of "
        "shape; --learn classifier needs none"
    )


def model_input(graph: Graph) -> Tensor | None:
    """The model's only input as int8, behind the QUANTIZE that may take it."""
    if len(graph.inputs) != 1:
        return None
    found = graph.inputs[0]
    readers = graph.consumers().get(found.name, [])
    if len(readers) == 1 and isinstance(readers[0], Quantize):
        found = readers[0].outputs[0]
    return found if found.dtype == np.int8 and found.quantization is not None else None


def _makers(graph: Graph, operator: Operator) -> list[str]:
    made = graph.producers()
    return [made[tensor.name].name for tensor in operator.inputs if tensor.name in made]


def ancestors(graph: Graph, tensors: Sequence[Tensor], start: Tensor | None = None) -> list[Operator]:
    """What computes `tensors` (from `start`), in program order."""
    wanted, found = {tensor.name for tensor in tensors}, []
    for operator in reversed(graph.operators):
        made = {tensor.name for tensor in operator.outputs}
        if made & wanted and (start is None or start.name not in made):
            found.append(operator)
            wanted |= {tensor.name for tensor in operator.inputs}
    return found[::-1]
