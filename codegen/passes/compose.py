"""After this pass no table of 256 bytes is read from another that nothing else reads: the two are one table.

A byte has 256 values, so that what any number of maps make of it is known when compiling: activations behind each
other, and QUANTIZE to another scale, or from and to uint8, beside one.
"""

from __future__ import annotations

import numpy as np

from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.composed import Composed
from driftc.codegen.operators.elementwise.lookup import Lookup


def compose(graph: Graph) -> Graph:
    readers, kept = graph.consumers(), graph.kept
    operators: dict[str, Operator] = {}
    tables: dict[str, Lookup] = {}  # tensor that one operator alone reads -> the table that gives it
    fused = dict(graph.fused)
    for operator in graph.operators:
        if isinstance(operator, Lookup) and _of_bytes(operator):
            before = tables.get(operator.inputs[0].name)
            if before is not None:
                del operators[before.name]
                fused = {tensor: operator.name if name == before.name else name for tensor, name in fused.items()}
                fused[before.outputs[0].name] = operator.name
                operator = _composed(before, operator)
            name = operator.outputs[0].name
            if len(readers.get(name, [])) == 1 and name not in kept:
                tables[name] = operator
        operators[operator.name] = operator
    return graph.with_operators([*operators.values()], fused=fused)


def _of_bytes(operator: Operator) -> bool:
    return all(tensor.dtype in (np.int8, np.uint8) for tensor in (*operator.inputs, *operator.outputs))


def _composed(before: Lookup, operator: Lookup) -> Composed:
    """Under the name of the last, in which the values between are next observable."""
    return Composed(
        name=operator.name,
        label=operator.label,
        index=operator.index,
        inputs=before.inputs,
        outputs=operator.outputs,
        steps=(*_steps(before), *_steps(operator)),
    )


def _steps(operator: Lookup) -> tuple[Lookup, ...]:
    return operator.steps if isinstance(operator, Composed) else (operator,)
