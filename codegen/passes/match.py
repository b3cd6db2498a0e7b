"""`--match litert`: after this pass each operator rounds as LiteRT's reference kernel does, where the two depart."""

from __future__ import annotations

from dataclasses import replace

from driftc.codegen.arithmetic import Rounding
from driftc.codegen.graph import Graph
from driftc.codegen.operators.fully_connected import FullyConnected


def match_litert(graph: Graph) -> Graph:
    return replace(
        graph,
        operators=tuple(
            replace(operator, rounding=Rounding.SINGLE) if isinstance(operator, FullyConnected) else operator
            for operator in graph.operators
        ),
    )
