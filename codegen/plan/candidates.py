"""What the search may choose from: each way of computing operators in parts is one entry of WAYS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from driftc.codegen.graph import Graph
from driftc.codegen.plan.search import Candidate
from driftc.codegen.plan.unit import Unit

Way = Callable[[Graph, Sequence[Unit]], Iterable[Candidate]]

WAYS: list[Way] = []


def candidates(graph: Graph, order: Sequence[Unit]) -> list[Candidate]:
    """Every unit of several operators, for `order`, the whole ones in an order that can be executed."""
    return [candidate for way in WAYS for candidate in way(graph, order)]
