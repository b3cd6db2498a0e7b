"""Operators computed row by row as each row is wanted, in one long program: a small second opinion on tilings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from driftc.codegen.graph import Graph
from driftc.codegen.kernels.portable.loops import CALL
from driftc.codegen.operators.base import Box, Operator, Tiling
from driftc.codegen.plan.buffer import Buffer, Span
from driftc.codegen.plan.call import Call
from driftc.codegen.plan.propose import views_of
from driftc.codegen.plan.search import Candidate
from driftc.codegen.plan.unit import Places, Unit, tiled
from driftc.codegen.tensor import Tensor


def by_rows(graph: Graph, order: Sequence[Unit]) -> Iterable[Candidate]:
    """Every run of operators that admit it, whose inner tensors nothing else reads and which ends in one output."""
    operators = [unit.operators[0] for unit in order]
    for first in range(len(order)):
        for stop in range(first + 2, len(order) + 1):
            if Tiling.ROWS not in operators[stop - 1].tiling or Tiling.ROWS not in operators[first].tiling:
                break
            found = Rows.of(graph, operators[first:stop])
            if found is not None:
                yield Candidate(first, stop, "rows", found.private, found.instructions, found.unit)


class Rows:
    """The calls that the last operator's rows need, each row of a tensor once, and how many rows must be kept."""

    def __init__(self, graph: Graph, operators: Sequence[Operator]) -> None:
        self.graph, self.operators = graph, operators
        self.maker = {tensor.name: operator for operator in operators for tensor in operator.outputs}
        self.done: dict[str, int] = {}  # rows of each tensor that are made
        self.calls: list[tuple[Operator, int]] = []
        self.kept: dict[str, int] = {}
        last = operators[-1].outputs[0]
        for row in range(last.hwc[0]):
            self._want(last, row + 1)
        for operator in operators:  # and what nobody reads
            self._want(operator.outputs[0], operator.outputs[0].hwc[0])

    @classmethod
    def of(cls, graph: Graph, operators: Sequence[Operator]) -> Rows | None:
        made = {tensor.name for operator in operators for tensor in operator.outputs}
        inside = {id(operator) for operator in operators}
        read = {tensor.name for operator in operators for tensor in operator.inputs}
        outer = {t.name for operator in graph.operators if id(operator) not in inside for t in operator.inputs}
        outer |= {tensor.name for tensor in graph.outputs}
        views = views_of(graph)
        inner = made - {operators[-1].outputs[0].name}
        if any(len(operator.outputs) > 1 for operator in operators) or inner & outer or inner - read or made & {*views}:
            return None
        if inner & set(views.values()) or read & {*views}:
            return None
        return cls(graph, operators)

    def _want(self, tensor: Tensor, rows: int) -> None:
        """Make `rows` rows of `tensor` from the top."""
        operator = self.maker.get(tensor.name)
        while operator is not None and self.done.get(tensor.name, 0) < rows:
            row = self.done.get(tensor.name, 0)
            needs = operator.needs(Box(row, row + 1, 0, tensor.hwc[2]))
            for source, need in zip(operator.inputs, needs, strict=True):
                self._want(source, need.row1)
            for source, need in zip(operator.inputs, needs, strict=True):
                if source.name in self.maker:
                    held = self.done[source.name] - need.row0
                    self.kept[source.name] = max(self.kept.get(source.name, 1), held)
            self.done[tensor.name] = row + 1
            self.calls.append((operator, row))

    @property
    def buffers(self) -> list[Buffer]:
        outs = [operator.outputs[0] for operator in self.operators[:-1]]
        return [Buffer.part(t, "", 0, rows=self.kept.get(t.name, 1), name=f"{t.name}/rows") for t in outs]

    @property
    def private(self) -> int:
        return sum(-(-buffer.bytes // 4) * 4 for buffer in self.buffers)

    @property
    def instructions(self) -> float:
        """Beyond the operators whole: a call for each row."""
        return CALL * (len(self.calls) - len(self.operators))

    def unit(self) -> Unit | None:
        lines = {operator.outputs[0].name: b for operator, b in zip(self.operators, self.buffers, strict=False)}

        def calls(places: Places) -> tuple[Call, ...]:
            def at(tensor: Tensor) -> Buffer:
                return places.private(lines[tensor.name]) if tensor.name in lines else places.whole(tensor)

            return tuple(
                Call(
                    operator,
                    tuple(at(tensor) for tensor in operator.inputs),
                    tuple(at(tensor) for tensor in operator.outputs),
                    Span.of(row, row + 1),
                    Span.of(0, operator.outputs[0].hwc[2]),
                    operator.epilogue,
                    layer=places.layer(operator),
                )
                for operator, row in self.calls
            )

        made = sum(operator.macs for operator in self.operators)
        results = [self.operators[-1].outputs[0]]
        return tiled(self.operators, calls, self.buffers, results, views_of(self.graph), made, "rows")
