"""After this pass float functions of one value between DEQUANTIZE and QUANTIZE are one table of int8 values.

Converters leave in float32 what they have no int8 kernel for (NEG, SQUARE, ELU). A table of the 256 results is exact:
each is what the operators that it stands for compute.
"""

from __future__ import annotations

from dataclasses import replace

from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.conversion.dequantize import Dequantize
from driftc.codegen.operators.conversion.quantize import Quantize
from driftc.codegen.operators.elementwise.lookup import Lookup
from driftc.codegen.operators.elementwise.table import Table


def tabulate(graph: Graph) -> Graph:
    producers, readers = graph.producers(), graph.consumers()
    made: dict[str, Operator] = {}
    within: dict[str, str] = {}  # float tensor -> the table that it is part of
    for operator in graph.operators:
        chain = _chain(operator, producers)
        if chain:
            first, *functions = chain
            alone = len(readers[functions[-1].outputs[0].name]) == 1
            named = functions[-1] if alone else operator
            made[operator.name] = Table(
                name=named.name,
                label=named.label,
                index=named.index,
                inputs=first.inputs,
                outputs=operator.outputs,
                functions=tuple(function for function in functions if isinstance(function, Lookup)),
            )
            within.update((link.outputs[0].name, named.name) for link in chain)
    operators = _live([made.get(operator.name, operator) for operator in graph.operators], graph, set(within))
    kept = {tensor.name for operator in operators for tensor in operator.outputs}
    gone = {tensor: name for tensor, name in within.items() if tensor not in kept}
    return replace(graph, operators=tuple(operators), fused={**graph.fused, **gone})


def _chain(operator: Operator, producers: dict[str, Operator]) -> list[Operator]:
    """DEQUANTIZE and the float functions between it and `operator`, a QUANTIZE; else nothing."""
    if not isinstance(operator, Quantize) or not operator.real:
        return []
    found: list[Operator] = []
    source = producers.get(operator.inputs[0].name)
    while isinstance(source, Lookup) and source.is_float:
        found.insert(0, source)
        source = producers.get(source.inputs[0].name)
    return [source, *found] if found and isinstance(source, Dequantize) else []


def _live(operators: list[Operator], graph: Graph, candidates: set[str]) -> list[Operator]:
    """Without those whose output is in `candidates` and that nothing reads any more."""
    wanted = {tensor.name for tensor in graph.outputs}
    found: list[Operator] = []
    for operator in reversed(operators):
        if any(tensor.name in wanted or tensor.name not in candidates for tensor in operator.outputs):
            found.append(operator)
            wanted.update(tensor.name for tensor in operator.inputs)
    return found[::-1]
