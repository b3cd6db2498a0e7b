"""Which layer of a Graph can learn, and the Graph in which it does: its weights are state."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import Multiplier
from driftc.codegen.errors import ModelError
from driftc.codegen.graph import Graph, State
from driftc.codegen.learning.layers import Learnt, Normalised, Tail
from driftc.codegen.learning.lesson import Lesson, Means
from driftc.codegen.learning.means import initial_means, nearest
from driftc.codegen.learning.narrow import with_narrow_masters
from driftc.codegen.operators.attributes import Activation
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.conversion.dequantize import Dequantize
from driftc.codegen.operators.conversion.quantize import Quantize
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.operators.learn.trained_conv import TrainedConv, filters_of
from driftc.codegen.operators.learn.trained_dense import ABSENT, LARGEST_BIAS, TrainedDense
from driftc.codegen.operators.learn.trained_norm import TrainedNorm
from driftc.codegen.operators.reduction.softmax import Softmax
from driftc.codegen.operators.state.copy import Copy
from driftc.codegen.tensor import Array, Quantization, Tensor

TAIL = (Softmax, Dequantize, Quantize)  # what may follow the layer that learns
COUNTERS = ("classes", "count", "references", "rounds")  # of the state `counters`


def learnable(graph: Graph) -> FullyConnected:
    """The layer whose sums decide the class. Raises ModelError where there is none, with the layers that could."""
    if len(graph.outputs) != 1:
        raise ModelError(f"{graph.source}: has {len(graph.outputs)} outputs; learning needs one, with a value a class")
    made, readers = graph.producers(), graph.consumers()
    maker = made.get(graph.outputs[0].name)
    while isinstance(maker, TAIL):
        maker = made.get(maker.inputs[0].name)
    if not isinstance(maker, FullyConnected):
        _refuse(graph, maker)
    if maker.rows != 1 or maker.channels < 2 or maker.activation is not Activation.NONE:
        maker.refuse("learning needs a dense layer that gives one row of two or more classes, without an activation")
    if len(readers.get(maker.outputs[0].name, [])) > 1 or len(readers[maker.inputs[0].name]) > 1:
        maker.refuse("learning needs a layer that nothing else is computed beside")
    if np.abs(bias_steps(maker)).max() >= LARGEST_BIAS:
        maker.refuse("its bias is too large in steps of the accumulator to be learnt")
    if graph.states:
        kept = graph.states[0].tensor.label
        raise ModelError(f"{graph.source}: learning takes each sample for itself, but the model keeps '{kept}'")
    return maker


def _refuse(graph: Graph, maker: Operator | None) -> NoReturn:
    last = "an input" if maker is None else f"{maker.kind} '{maker.label or maker.name}'"
    dense = [op.label or op.name for op in graph.operators if isinstance(op, Weighted)]
    could = f"; its layers with weights are {', '.join(dense[-3:])}" if dense else ""
    raise ModelError(
        f"{graph.source}: its output comes from {last}, but --learn trains a dense layer that decides the class, with "
        f"nothing but a softmax behind it{could}"
    )


def trainable(graph: Graph, lesson: Lesson, tail: Tail | None = None) -> Graph:
    """`graph` with its last dense layer, and the convolutions of `tail`, on weights that lie in the state, and room for
    more classes.

    The states, in order: weights int8 [C, F], bias int32 [C], features int8 (what is stored of the last inference's
    sample, by default [1, F]), masters int32 [C, F], bias masters int32 [C], store int8 [S, size of features], store
    labels int8 [S], counters int32 [4] (COUNTERS). Then, of each convolution, weights int8 [O, rows, pixels, D], bias
    int32 [O], and the masters of both; of a live layer gains int8 [O] and offsets int32 [O] in their place. Masters of
    weights may be int16 (codegen/learning/narrow.py). Of class means the weights are these, and the bias how many
    samples they are of.
    """
    layer = learnable(graph)
    length, classes = layer.weights.shape[1], lesson.classes
    label = layer.label or layer.name
    x = layer.inputs[0]
    sample = replace(x, shape=(1, length)) if tail is None else tail.sample

    def tensor(what: str, shape: tuple[int, ...], dtype: type, like: Tensor | None = None) -> Tensor:
        name = f"{layer.name}/{what}"
        return Tensor(name, shape, np.dtype(dtype), like.quantization if like else None, label=f"{label}/{what}")

    weights, bias = initial_means(lesson) if isinstance(lesson, Means) else initial(layer, classes)
    w = tensor("weights", weights.shape, np.int8)
    b = tensor("bias", bias.shape, np.int32)
    features = tensor("features", sample.shape, np.int8, sample)
    given = replace(features, name=f"{layer.name}/features given", label=f"{label}/features")
    out = replace(layer.outputs[0], shape=(1, classes))
    dense: Operator
    if isinstance(lesson, Means):
        dense = nearest(layer, lesson, (given, w, b), out)
    else:
        dense = TrainedDense(
            name=layer.name, label=layer.label, index=layer.index, inputs=(given if tail is None else x, w, b),
            outputs=(out,), multiplier=scaled_rows(layer, classes), bounds=layer.range,
        )  # fmt: skip
    keep = Copy(name=f"{layer.name}_features", label=layer.label, inputs=(sample,), outputs=(given,))
    states: list[tuple[Tensor, Array]] = [
        (w, weights),
        (b, bias),
        (features, np.full(sample.shape, 0, np.int8)),
        (tensor("masters", weights.shape, np.int32), np.zeros(weights.shape, np.int32)),
        (tensor("bias masters", bias.shape, np.int32), np.zeros(bias.shape, np.int32)),
        (tensor("store", (lesson.slots, sample.size), np.int8), np.zeros((lesson.slots, sample.size), np.int8)),
        (tensor("store labels", (lesson.slots,), np.int8), np.zeros(lesson.slots, np.int8)),
        (tensor("counters", (len(COUNTERS),), np.int32), np.array([lesson.known, 0, 0, 0], np.int32)),
    ]
    taught: dict[str, list[Operator]] = {layer.name: [dense]}
    for learnt in tail.layers if tail else ():
        own = states_of(learnt)
        states += own
        made = trained(learnt, own[0][0], own[1][0])
        taught[made[-1].name] = made
    for operator in (each for made in taught.values() for each in made):
        operator.check()
    operators: list[Operator] = []
    wider: dict[str, Tensor] = {layer.outputs[0].name: out}
    for operator in graph.operators:
        if keep not in operators and any(read.name == sample.name for read in operator.inputs):
            operators.append(keep)
        if operator.name in taught:
            operators += taught[operator.name]
        elif isinstance(operator, TAIL) and operator.inputs[0].name in wider:
            grown = replace(operator.outputs[0], shape=(1, classes))
            wider[grown.name] = grown
            operators.append(replace(operator, inputs=(wider[operator.inputs[0].name],), outputs=(grown,)))
        else:
            operators.append(operator)
    kept = tuple(State(t, value, given.name if t is features else t.name) for t, value in states)
    outputs = tuple(wider.get(t.name, t) for t in graph.outputs)
    return with_narrow_masters(graph.with_operators(operators, outputs=outputs, states=kept), lesson)


def trained(layer: Learnt, weights: Tensor, bias: Tensor) -> list[Operator]:
    """What computes a layer that learns; the last takes the place, and has the name, of the one that did."""
    if not isinstance(layer, Normalised):
        return [
            TrainedConv(
                name=layer.name, label=layer.label, index=layer.index, layer=layer,
                inputs=(layer.inputs[0], weights, bias), outputs=layer.outputs,
            )
        ]  # fmt: skip
    affine = layer.affine
    x, *given = affine.inputs
    moved = tuple(replace(tensor, name=f"{tensor.name} learnt", label=f"{tensor.label}/learnt") for tensor in given)
    norm = TrainedNorm(
        name=f"{affine.name}_learnt", label=layer.label, inputs=(*given, weights, bias), outputs=moved,
        zero_point=affine.outputs[0].zero_point,
    )  # fmt: skip
    return [norm, replace(affine, inputs=(x, *moved))]


def states_of(layer: Learnt) -> list[tuple[Tensor, Array]]:
    """Weights, bias, masters and bias masters of a layer that learns, and what they are as compiled."""
    label = layer.label or layer.name
    if isinstance(layer, Normalised):
        filters, bias = np.zeros(layer.channels, np.int8), np.zeros(layer.channels, np.int32)
    else:
        filters = np.clip(filters_of(layer), -127, 127).astype(np.int8)
        bias = layer.raw_bias.astype(np.int32)
    arrays: dict[str, Array] = {
        "weights": filters,
        "bias": bias,
        "masters": np.zeros(filters.shape, np.int32),
        "bias masters": np.zeros(bias.shape, np.int32),
    }
    return [
        (Tensor(f"{layer.name}/{layer.name} {what}", data.shape, data.dtype, label=f"{label}/{what}"), data)
        for what, data in arrays.items()
    ]


def trained_parts(lesson: Lesson) -> list[tuple[str, str, str, str]]:
    """Of each layer that learns, the dense one first: what its weights, bias and the masters of both are."""
    parts = ("weights", "bias", "masters", "bias masters")
    found = [parts, *(tuple(f"{name} {part}" for part in parts) for name in lesson.layers)]
    return [(w, b, m, n) for w, b, m, n in found]


def initial(layer: FullyConnected, classes: int) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    """Weights and bias of the layer, and those of classes that are not there yet."""
    assert layer.weights.data is not None
    known, length = layer.weights.shape
    weights = np.zeros((classes, length), np.int8)
    weights[:known] = np.clip(layer.weights.data, -127, 127)
    bias = np.full(classes, ABSENT, np.int32)
    bias[:known] = bias_steps(layer)
    return weights, bias


def widened(graph: Graph, reach: float) -> Graph:
    """`graph` with each row of the layer that learns on a scale with room for real weights up to `reach`, where its own
    has not."""
    layer = learnable(graph)
    own = np.broadcast_to(layer.quantization.scale, (layer.channels,))
    scales = np.maximum(own, np.float32(reach / 127))
    if np.array_equal(scales, own) or layer.weights.data is None:
        return graph
    ratio = own.astype(np.float64) / scales
    data = np.rint(layer.weights.data * ratio[:, None]).astype(np.int8)
    scales = scales if layer.quantization.axis is not None or np.ptp(scales) else scales[:1]
    quantization = Quantization(scales, np.zeros(scales.size, np.int64), 0 if scales.size > 1 else None)
    made = replace(layer, weights=replace(layer.weights, data=data, quantization=quantization))
    if layer.bias is not None:
        bias = np.rint(layer.raw_bias * ratio).astype(np.int32).reshape(layer.bias.shape)
        made = replace(made, bias=replace(layer.bias, data=bias))
    return graph.with_operators([made if op is layer else op for op in graph.operators])


def row_scales(layer: FullyConnected, classes: int) -> NDArray[np.float64]:
    """Real value of a step of each row's weights; new rows have the coarsest, so that they have room, and so have rows
    of zeros, whose own says nothing."""
    assert layer.weights.data is not None
    own = np.array(np.broadcast_to(layer.quantization.scale.astype(np.float64), (layer.channels,)))
    there = layer.weights.data.any(axis=1)
    own[~there] = own[there].max() if there.any() else own.max()
    return np.concatenate([own, np.full(classes - own.size, own.max())])


def bias_steps(layer: FullyConnected) -> NDArray[np.int64]:
    """The layer's bias in steps of the accumulator, as `row_scales` has them."""
    own = np.broadcast_to(layer.quantization.scale.astype(np.float64), (layer.channels,))
    return np.rint(layer.raw_bias * (own / row_scales(layer, layer.channels))).astype(np.int64)


def scaled_rows(layer: FullyConnected, classes: int) -> Multiplier:
    """What a step of each row's sum is of the output's scale."""
    scales = np.float64(layer.inputs[0].scale) * row_scales(layer, classes)
    return Multiplier.of(np.asarray(scales / np.float64(layer.outputs[0].scale)))
