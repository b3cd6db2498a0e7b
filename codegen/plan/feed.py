"""Row-fed input: which Graph is planned, and which calls of its Plan follow the arrival of which row.

The input becomes what INPUT_ROWS gives, an operator like any other, so that the search streams it with the layers that
read it; where nothing streams, all of its rows are collected first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from driftc.codegen.errors import UsageError
from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.movement.row_input import RowInput
from driftc.codegen.plan.buffer import Affine, Span
from driftc.codegen.plan.call import Call, Statement, static_calls, unrolled
from driftc.codegen.plan.plan import Plan
from driftc.codegen.plan.roll import repeats, tiles
from driftc.codegen.tensor import Tensor


def fed(graph: Graph) -> tuple[Graph, int]:
    """`graph` with its largest input of several rows arriving by rows, and which of its inputs that is.

    An input that is only made an image, by views that alone read it, arrives in the rows of that image. Raises
    UsageError where no input has more than one row.
    """
    images = [_image(graph, tensor) for tensor in graph.inputs]
    able = [n for n, (tensor, _) in enumerate(images) if tensor.hwc[0] > 1]
    if not able:
        shapes = ", ".join(f"'{tensor.label or tensor.name}' {list(tensor.shape)}" for tensor in graph.inputs)
        raise UsageError(f"{graph.source}: --feed rows needs an input of several rows; the model has {shapes}")
    chosen = max(able, key=lambda n: graph.inputs[n].bytes)
    tensor, views = images[chosen]
    names = {operator.name for operator in graph.operators}
    name = next(name for name in (f"rows_in{'_' * n}" for n in range(len(names) + 1)) if name not in names)
    rest = tuple(other for n, other in enumerate(graph.inputs) if n != chosen)
    source = RowInput(name=name, inputs=(), outputs=(tensor,), label=tensor.label)
    others = tuple(operator for operator in graph.operators if operator not in views)
    return replace(graph, operators=(source, *others), inputs=rest), chosen


def _image(graph: Graph, tensor: Tensor) -> tuple[Tensor, list[Operator]]:
    """`tensor` with more than one row, and the views that make it so of an input that has one."""
    readers, views = graph.consumers(), list[Operator]()
    outputs = {output.name for output in graph.outputs}
    while tensor.hwc[0] == 1 and tensor.name not in outputs and len(readers.get(tensor.name, ())) == 1:
        (reader,) = readers[tensor.name]
        if not reader.view:
            break
        views.append(reader)
        tensor = reader.outputs[0]
    return tensor, views


def as_fed(plan: Plan, graph: Graph, chosen: int) -> Plan:
    """The Plan of a `fed` Graph, with the inputs of `graph` again: number `chosen` is where its rows are kept."""
    (kept,) = {id(call.outputs[0]): call.outputs[0] for call in arrivals(plan)}.values()
    inputs = (*plan.inputs[:chosen], kept, *plan.inputs[chosen:])
    given = graph.inputs[chosen]
    views = {view.outputs[0].name: given.name for view in _image(graph, given)[1]}
    return replace(plan, inputs=inputs, input_tensors=graph.inputs, fed=chosen, views={**plan.views, **views})


def arrivals(plan: Plan) -> list[Call]:
    """The calls that take a row from the caller."""
    return [call for call in static_calls(plan.program) if isinstance(call.operator, RowInput)]


def collected(plan: Plan) -> list[tuple[Tensor, int]]:
    """Where rows are collected: the tensors that wait whole for what cannot be streamed, and their bytes."""
    if plan.fed is None:
        return []
    piece = next(piece for piece in plan.pieces if piece.first == 0)
    made = list(static_calls(plan.program[: piece.stop]))
    found = {call.outputs[0].name: call for call in made if call.outputs[0].whole_rows and call.outputs[0].shape[0] > 1}
    return [(call.operator.outputs[0], call.outputs[0].bytes) for call in found.values()]


@dataclass(frozen=True, eq=False)
class Stretch:
    """After the arrival of rows [first, first + turns * len(parts)): row first + i * len(parts) + n runs parts[n]."""

    first: int
    turns: int
    parts: tuple[tuple[Statement, ...], ...]


@dataclass(frozen=True, eq=False)
class Feed:
    """What follows each row, in stretches that repeat, and what follows the last row's part."""

    stretches: tuple[Stretch, ...]
    rest: tuple[Statement, ...]


def feed(plan: Plan) -> Feed:
    """The program of a row-fed Plan, cut where rows arrive."""
    last = max(n for n, s in enumerate(plan.program) if _arrives(s))
    parts: list[list[Call]] = []
    early: list[Call] = []  # before the first row
    for call, variables in unrolled(plan.program[: last + 1], {}):
        if isinstance(call.operator, RowInput):
            parts.append([])
            continue
        (parts[-1] if parts else early).append(_literal(call, variables))
    parts[0] = [*early, *parts[0]]
    stretches, place = [], 0
    for turns, body in repeats([tiles(calls) for calls in parts]):
        stretches.append(Stretch(place, turns, tuple(map(tuple, body))))
        place += turns * len(body)
    return Feed(tuple(stretches), plan.program[last + 1 :])


def _arrives(statement: Statement) -> bool:
    return any(isinstance(call.operator, RowInput) for call in static_calls((statement,)))


def _literal(call: Call, variables: dict[str, int]) -> Call:
    rows, channels, reduce = (
        span and Span(Affine(span.start.at(variables)), span.count) for span in (call.rows, call.channels, call.reduce)
    )
    assert rows is not None and channels is not None
    return replace(call, rows=rows, channels=channels, reduce=reduce)
