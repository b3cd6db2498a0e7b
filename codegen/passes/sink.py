"""After this pass reshapes that keep the channels come behind the normalisations and ReLUs that follow them.

A convolution over steps is one over an image of one row between two reshapes; what acts on each channel alone then
meets the convolution itself, which can fuse it, or be normalised live.
"""

from __future__ import annotations

from dataclasses import replace

from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.relu import Relu
from driftc.codegen.operators.elementwise.relu6 import Relu6
from driftc.codegen.operators.movement.reshape import Reshape
from driftc.codegen.operators.normalization.batch_normalization import BatchNormalization


def sink(graph: Graph) -> Graph:
    readers = graph.consumers()
    leaving = {tensor.name for tensor in graph.outputs}
    operators: list[Operator] = []
    for operator in graph.operators:
        reshape = None
        if isinstance(operator, BatchNormalization | Relu | Relu6):
            source = operator.inputs[0].name
            reshape = next((op for op in operators if isinstance(op, Reshape) and op.outputs[0].name == source), None)
        if reshape is None or source in leaving or len(readers[source]) != 1 or not _keeps_channels(reshape):
            operators.append(operator)
            continue
        (x,), (y,) = reshape.inputs, operator.outputs
        before = replace(y, name=f"{y.name}/image", shape=x.shape)
        operators.remove(reshape)
        operators.append(replace(operator, inputs=(x,), outputs=(before,)))
        operators.append(replace(reshape, inputs=(before,), outputs=(y,)))
    return graph.with_operators(operators)


def _keeps_channels(reshape: Reshape) -> bool:
    x, y = reshape.inputs[0].shape, reshape.outputs[0].shape
    return len(x) == 4 and len(y) > 0 and x[-1] == y[-1]
