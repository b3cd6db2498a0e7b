"""After this pass RELU and RELU6 of a float Graph are the fused activation of the layer that they alone read."""

from __future__ import annotations

from dataclasses import replace

from driftc.codegen.graph import Graph
from driftc.codegen.operators.attributes import Activation
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.transpose_conv import TransposeConv
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.operators.elementwise.elementwise import Elementwise
from driftc.codegen.operators.elementwise.relu import Relu
from driftc.codegen.operators.elementwise.relu6 import Relu6


def activate(graph: Graph) -> Graph:
    readers = graph.consumers()
    leaving = {tensor.name for tensor in graph.outputs}
    operators: list[Operator] = []
    made: dict[str, int] = {}
    for operator in graph.operators:
        if isinstance(operator, Relu | Relu6):
            source = operator.inputs[0].name
            producer = operators[made[source]] if source in made else None
            alone = len(readers[source]) == 1 and source not in leaving
            if isinstance(producer, TransposeConv):  # which cannot fuse one
                alone = False
            if alone and isinstance(producer, Weighted | Elementwise) and producer.activation is Activation.NONE:
                kind = Activation.RELU if isinstance(operator, Relu) else Activation.RELU6
                output = replace(operator.outputs[0], label=producer.outputs[0].label)
                operators[made[source]] = replace(producer, activation=kind, outputs=(output,))
                made[output.name] = made[source]
                continue
        made.update((tensor.name, len(operators)) for tensor in operator.outputs)
        operators.append(operator)
    return graph.with_operators(operators)
