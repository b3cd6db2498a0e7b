"""What the search may choose from: each way of computing operators in parts is one entry of WAYS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Operator
from driftc.codegen.plan.cost import CALL
from driftc.codegen.plan.propose import views_of
from driftc.codegen.plan.rows import Stream
from driftc.codegen.plan.search import Candidate
from driftc.codegen.plan.unit import Unit

Way = Callable[[Graph, Sequence[Unit]], Iterable[Candidate]]


def by_rows(graph: Graph, order: Sequence[Unit]) -> Iterator[Candidate]:
    """Every stretch of the order that can be streamed row by row."""
    views = views_of(graph)
    operators = [unit.operators[0] for unit in order]
    readers = _readers(graph, operators, views)
    for first in range(len(operators)):
        for stop in range(first + 2, len(operators) + 1):
            part = operators[first:stop]
            results = [t for op in part for t in op.outputs if not _inner(readers[t.name], first, stop)]
            stream = Stream(tuple(part), tuple(results), views)
            if not stream.possible:
                break  # what cannot be streamed cannot be part of anything longer either
            if len(results) < len(part):
                extra = CALL * (len(stream.pieces) - len(part))
                yield Candidate(first, stop, "rows", stream.bytes, extra, stream.unit)


def _readers(graph: Graph, operators: Sequence[Operator], views: dict[str, str]) -> dict[str, list[int]]:
    """Storage -> positions of its readers; the end counts as one for what leaves the model."""
    found: dict[str, list[int]] = {t.name: [] for operator in operators for t in operator.outputs}
    for position, operator in enumerate(operators):
        for tensor in operator.inputs:
            found.setdefault(views.get(tensor.name, tensor.name), []).append(position)
    for tensor in graph.outputs:
        found.setdefault(views.get(tensor.name, tensor.name), []).append(len(operators))
    return found


def _inner(readers: Sequence[int], first: int, stop: int) -> bool:
    """Read by operators [first, stop) alone."""
    return bool(readers) and all(first <= reader < stop for reader in readers)


WAYS: list[Way] = [by_rows]


def candidates(graph: Graph, order: Sequence[Unit]) -> list[Candidate]:
    """Every unit of several operators, for `order`, the whole ones in an order that can be executed."""
    return [candidate for way in WAYS for candidate in way(graph, order)]
