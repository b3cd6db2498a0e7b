"""Graph -> Plan: units in the order and at the offsets that need the least RAM; untiled, a unit is one operator."""

from __future__ import annotations

from collections.abc import Sequence

from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.by_sample import BySample
from driftc.codegen.operators.movement.row_input import RowInput
from driftc.codegen.plan.buffer import STATE
from driftc.codegen.plan.by_sample import by_sample
from driftc.codegen.plan.place import Placement, Problem, aligned, greedy
from driftc.codegen.plan.plan import Piece, Plan, Region, StateBuffer
from driftc.codegen.plan.rows import Stream
from driftc.codegen.plan.schedule import Memory, problem_of, schedule
from driftc.codegen.plan.solve import require, solve
from driftc.codegen.plan.unit import Places, Unit, whole
from driftc.codegen.tensor import Tensor

PLANNERS = ("optimal", "greedy")


def untiled(graph: Graph) -> list[Unit]:
    """Each operator of `graph` as a unit, views aside, by kernels that every core can run."""
    views = views_of(graph)
    return [_alone(operator, views) for operator in graph.operators if not operator.view]


def _alone(operator: Operator, views: dict[str, str]) -> Unit:
    if isinstance(operator, BySample):
        return by_sample(operator, views)
    if not isinstance(operator, RowInput):
        return whole(operator, views)
    unit = Stream((operator,), operator.outputs, views).unit()  # its rows arrive one at a time
    assert unit is not None
    return unit


def arrange(graph: Graph, units: Sequence[Unit], planner: str, memories: Sequence[tuple[str, int]] = ()) -> Plan:
    """The Plan of `units`, which compute each operator of `graph` once and are in an order that can be executed.

    `memories` are a board's (name, bytes), the preferred one first: where the largest does not hold the arena alone,
    it is spread over them. Raises ToolError where `planner` is "optimal" and OR-Tools is missing.
    """
    if planner == "optimal":
        require()
    views = views_of(graph)
    steps = [unit.step for unit in units]
    memory = memory_of(graph, units, views)

    def placed(order: Sequence[int], rooms: tuple[int | None, ...] = (None,)) -> tuple[Placement | None, list[str]]:
        problem, names = problem_of([steps[n] for n in order], memory, rooms)
        return _place(problem, planner), names

    orders = [list(range(len(steps))), schedule(steps, memory)]
    best: tuple[Placement, list[str], list[int]] | None = None
    for order in orders[: 1 if orders[0] == orders[1] else 2]:
        placement, names = placed(order)
        if placement is not None and (best is None or placement.bytes < best[0].bytes):
            best = placement, names, order
    assert best is not None  # one room without a limit holds anything
    regions: tuple[str, ...] = ("",)
    if len(memories) > 1 and best[0].bytes > max(size for _, size in memories):
        spread, names = placed(best[2], tuple(size for _, size in memories))
        if spread is not None:
            best, regions = (spread, names, best[2]), tuple(name for name, _ in memories)
    placement, names, order = best
    return _plan(graph, [units[n] for n in order], views, planner, placement, names, regions)


def _place(problem: Problem, planner: str) -> Placement | None:
    return solve(problem) if planner == "optimal" else greedy(problem)


def views_of(graph: Graph) -> dict[str, str]:
    """Tensor -> the computed tensor whose bytes it is, through any number of reshapes."""
    views: dict[str, str] = {}
    for operator in graph.operators:
        if operator.view:
            source = operator.inputs[0].name
            views[operator.outputs[0].name] = views.get(source, source)
    return views


def memory_of(graph: Graph, units: Sequence[Unit], views: dict[str, str]) -> Memory:
    """The storages of `units`: whole tensors and what is private to one."""
    sizes = {tensor.name: aligned(tensor.bytes) for tensor in graph.inputs}
    for unit in units:
        sizes |= {t.name: aligned(t.bytes) for op in unit.operators for t in op.outputs if t.name in unit.step.writes}
        sizes |= unit.private
    sizes |= dict.fromkeys(state_offsets(graph, views), 0)
    return Memory(
        sizes,
        tuple(tensor.name for tensor in graph.inputs),
        tuple(
            dict.fromkeys(
                views.get(tensor.name, tensor.name) for tensor in (*graph.outputs, *graph.held) if tensor.data is None
            )
        ),
        replaced_of(graph, views),
    )


def replaced_of(graph: Graph, views: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Of each state that is written, the storages before and after, which are the same bytes."""
    pairs = ((state.tensor.name, views.get(state.next, state.next)) for state in graph.states)
    return tuple((old, new) for old, new in pairs if old != new)


def state_offsets(graph: Graph, views: dict[str, str]) -> dict[str, int]:
    """Where in STATE each state's storages lie: one after another in the Graph's order, whatever is planned."""
    found: dict[str, int] = {}
    place = 0
    for state in graph.states:
        found |= dict.fromkeys((state.tensor.name, views.get(state.next, state.next)), place)
        place += aligned(state.tensor.bytes)
    return found


def _plan(
    graph: Graph,
    units: Sequence[Unit],
    views: dict[str, str],
    planner: str,
    placement: Placement,
    names: Sequence[str],
    regions: Sequence[str],
) -> Plan:
    """The Plan of `units` in this order, with each storage of `names` where `placement` has it."""
    operators = [op for unit in units for op in unit.operators if not isinstance(op, RowInput)]
    layers = tuple(tensor for operator in operators for tensor in operator.outputs)
    where = {name: (f"ram{placement.rooms[n]}", placement.offsets[n]) for n, name in enumerate(names)}
    where |= {name: (STATE, offset) for name, offset in state_offsets(graph, views).items()}
    places = Places(where, views, {tensor.name: n for n, tensor in enumerate(layers)})
    sizes = zip(placement.sizes, regions, strict=False)
    programs = [unit.program(places) for unit in units]
    pieces, first = [], 0
    for unit, statements in zip(units, programs, strict=True):
        names_of = tuple(operator.name for operator in unit.operators)
        stop = first + len(statements)
        pieces.append(Piece(unit.kind, first, stop, names_of, sum(unit.private.values()), unit.macs))
        first = stop
    return Plan(
        name=graph.name,
        regions=tuple(Region(f"ram{n}", size, memory=name) for n, (size, name) in enumerate(sizes) if size or not n),
        inputs=tuple(places.whole(tensor) for tensor in graph.inputs),
        outputs=tuple(places.whole(tensor) for tensor in graph.outputs),
        program=tuple(statement for statements in programs for statement in statements),
        layers=layers,
        input_tensors=graph.inputs,
        output_tensors=graph.outputs,
        views=views,
        planner=planner,
        bound=placement.bound,
        pieces=tuple(pieces),
        states=_states(graph, places),
        held=tuple(places.whole(tensor) for tensor in graph.held),
    )


def _states(graph: Graph, places: Places) -> tuple[StateBuffer, ...]:
    made: dict[str, Tensor] = {tensor.name: tensor for operator in graph.operators for tensor in operator.outputs}
    return tuple(
        StateBuffer(
            places.whole(state.tensor),
            places.whole(made.get(state.next, state.tensor)),
            state.initial,
            state.tensor.label or state.tensor.name,
        )
        for state in graph.states
    )
