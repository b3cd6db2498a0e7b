"""`--match litert`: after this pass each operator computes as LiteRT's reference kernel does, where the two depart."""

from __future__ import annotations

from dataclasses import replace

from driftc.codegen.graph import Graph


def match_litert(graph: Graph) -> Graph:
    matched = [replace(operator, litert=True) if operator.departures else operator for operator in graph.operators]
    return replace(graph, operators=tuple(matched))
