"""After this pass what a float Graph does to its input by constants is in the weights of the layer that reads it.

Preprocessing that is part of the model (Rescaling, Normalization, ONNX's Sub and Div at the start) then costs nothing,
and the input is quantised as the user has it: pixels of 0..255 at scale 1. Where an offset would have to come before a
layer's own padding the result would be another; the layers stay.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from driftc.codegen.graph import Graph
from driftc.codegen.operators.attributes import Activation
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.elementwise.sub import Sub
from driftc.codegen.tensor import Array, Tensor

Affine = tuple[Array, Array]  # scale and offset of each channel


def absorb(graph: Graph) -> Graph:
    """What is absorbed is said in a note."""
    readers = graph.consumers()
    leaving = {tensor.name for tensor in graph.outputs}
    operators = list(graph.operators)
    notes: list[str] = []
    for x in graph.inputs:
        chain: list[Operator] = []
        scale, offset = np.ones(x.shape[-1]), np.zeros(x.shape[-1])
        tensor = x
        while tensor.name not in leaving and len(readers.get(tensor.name, ())) == 1:
            (reader,) = readers[tensor.name]
            found = _affine(reader, tensor)
            if found is None:
                break
            scale, offset = scale * found[0], offset * found[0] + found[1]
            chain.append(reader)
            tensor = reader.outputs[0]
        layers = [] if tensor.name in leaving else readers.get(tensor.name, [])
        if not chain or not layers or not all(_takes(layer, tensor, offset) for layer in layers):
            continue
        for layer in layers:
            assert isinstance(layer, Weighted)
            operators[operators.index(layer)] = _absorbed(layer, x, scale, offset)
        operators = [operator for operator in operators if operator not in chain]
        names = ", ".join(f"'{operator.label}'" for operator in chain)
        notes.append(f"folded: {names} into the weights behind; '{x.label}' is quantised as it comes")
    return replace(graph, operators=tuple(operators), notes=(*graph.notes, *notes))


def _affine(operator: Operator, x: Tensor) -> Affine | None:
    """What the operator does to each channel of `x`, where it does no more than that."""
    if not isinstance(operator, Add | Mul | Sub) or operator.activation is not Activation.NONE:
        return None
    a, b = operator.inputs
    data = b.data if a is x or a.name == x.name else a.data
    if data is None or operator.outputs[0].shape != x.shape or data.size not in (1, x.shape[-1]):
        return None
    if data.size > 1 and data.shape[-1] != data.size:
        return None
    constant = np.broadcast_to(data.reshape(-1).astype(np.float64), (x.shape[-1],))
    one, none = np.ones_like(constant), np.zeros_like(constant)
    if isinstance(operator, Mul):
        return constant, none
    if isinstance(operator, Add):
        return one, constant
    return (one, -constant) if b.data is not None else (-one, constant)


def _takes(layer: Operator, x: Tensor, offset: Array) -> bool:
    if isinstance(layer, FullyConnected):
        return layer.inputs[0].name == x.name
    if not isinstance(layer, Conv2D | DepthwiseConv2D):
        return False
    grouped = isinstance(layer, Conv2D) and layer.groups > 1
    return not grouped and (not np.any(offset) or not any(layer.padding))


def _absorbed(layer: Weighted, x: Tensor, scale: Array, offset: Array) -> Weighted:
    assert layer.weights.data is not None
    weights = layer.weights.data.astype(np.float64)
    if isinstance(layer, DepthwiseConv2D):
        each = weights.shape[3] // x.shape[-1]
        scale, offset = np.repeat(scale, each), np.repeat(offset, each)
        added = (weights * offset).sum(axis=(0, 1, 2))
    else:
        added = (weights * offset).sum(axis=tuple(range(1, weights.ndim)))
    bias = layer.bias
    if np.any(offset):
        before = 0.0 if bias is None or bias.data is None else bias.data
        name, label = (f"{layer.name}/bias", f"{layer.label}/bias") if bias is None else (bias.name, bias.label)
        values = np.asarray(before + added, np.float32)
        bias = Tensor(name, values.shape, np.dtype(np.float32), None, values, label)
    scaled = replace(layer.weights, data=np.asarray(weights * scale, np.float32))
    return replace(layer, inputs=(x, *layer.inputs[1:]), weights=scaled, bias=bias)
