"""`--match litert`: after this pass each operator computes as LiteRT's reference kernel does, where the two depart."""

from __future__ import annotations

from dataclasses import replace

from driftc.codegen.graph import Graph


def match_litert(graph: Graph) -> Graph:
    """Raises ModelError for an operator that driftc cannot compute as LiteRT does."""
    for operator in graph.operators:
        if operator.litert_undefined:
            operator.refuse(f"{operator.litert_undefined}; compile with --match tflm")
    return as_litert(graph)


def as_litert(graph: Graph) -> Graph:
    """The same, whether or not all of it can be."""
    matched = [replace(operator, litert=True) if operator.departures else operator for operator in graph.operators]
    return replace(graph, operators=tuple(matched))
