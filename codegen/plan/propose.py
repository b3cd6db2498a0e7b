"""Graph -> Plan: one call a layer, views shared, in the order and at the offsets that need the least RAM."""

from __future__ import annotations

from collections.abc import Sequence

from driftc.codegen.graph import Graph, Tensor
from driftc.codegen.names import Names, identifier
from driftc.codegen.operators.base import Operator
from driftc.codegen.plan.overlap import Distance, distance
from driftc.codegen.plan.place import Placement, Problem, aligned, greedy
from driftc.codegen.plan.plan import CONSTANTS, Buffer, Call, Plan, Region
from driftc.codegen.plan.schedule import Memory, Step, problem_of, schedule
from driftc.codegen.plan.solve import require, solve

PLANNERS = ("optimal", "greedy")


def propose(graph: Graph, planner: str = "optimal", memories: Sequence[tuple[str, int]] = ()) -> Plan:
    """The untiled Plan.

    `memories` are a board's (name, bytes), the preferred one first: where the largest does not hold the arena alone,
    it is spread over them. Raises ToolError where `planner` is "optimal" and OR-Tools is missing.
    """
    if planner == "optimal":
        require()
    views = _views(graph)
    operators = [operator for operator in graph.operators if not operator.view]
    steps = [_step(operator, views) for operator in operators]
    memory = _memory(graph, operators, views)

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
    return _plan(graph, [operators[n] for n in order], views, planner, placement, names, regions)


def _place(problem: Problem, planner: str) -> Placement | None:
    return solve(problem) if planner == "optimal" else greedy(problem)


def _views(graph: Graph) -> dict[str, str]:
    """Tensor -> the computed tensor whose bytes it is, through any number of reshapes."""
    views: dict[str, str] = {}
    for operator in graph.operators:
        if operator.view:
            source = operator.inputs[0].name
            views[operator.outputs[0].name] = views.get(source, source)
    return views


def _step(operator: Operator, views: dict[str, str]) -> Step:
    """The storages of `operator`, and how close those that die in it may come to those it writes."""
    reads = [views.get(tensor.name, tensor.name) if tensor.data is None else None for tensor in operator.inputs]
    writes = tuple(tensor.name for tensor in operator.outputs)
    found: dict[tuple[str, str], Distance] = {}
    for source in dict.fromkeys(name for name in reads if name is not None):
        for target, written in enumerate(writes):
            ways = []
            for backward in (False, True)[: 2 if operator.reversible else 1]:
                places = [place for place, name in enumerate(reads) if name == source]
                ways.append(_all(operator, places, target, backward))
            allowed = [way for way in ways if way is not None]
            if allowed:
                found[source, written] = allowed[0] if len(allowed) == 1 else allowed[0].least(allowed[1])
    return Step(tuple(dict.fromkeys(name for name in reads if name is not None)), writes, found)


def _all(operator: Operator, places: Sequence[int], target: int, backward: bool) -> Distance | None:
    """The distance that suits every one of the inputs `places`, which are the same storage."""
    found: Distance | None = None
    for place in places:
        one = distance(operator, place, target, backward)
        if one is None:
            return None
        found = one if found is None else found.most(one)
    return found


def _memory(graph: Graph, operators: Sequence[Operator], views: dict[str, str]) -> Memory:
    tensors = [*graph.inputs, *(tensor for operator in operators for tensor in operator.outputs)]
    return Memory(
        {tensor.name: aligned(tensor.bytes) for tensor in tensors},
        tuple(tensor.name for tensor in graph.inputs),
        tuple(dict.fromkeys(views.get(tensor.name, tensor.name) for tensor in graph.outputs if tensor.data is None)),
    )


def _plan(
    graph: Graph,
    operators: Sequence[Operator],
    views: dict[str, str],
    planner: str,
    placement: Placement,
    names: Sequence[str],
    regions: Sequence[str],
) -> Plan:
    """The Plan of `operators` in this order, with each storage of `names` where `placement` has it."""
    where = {name: (f"ram{placement.rooms[n]}", placement.offsets[n]) for n, name in enumerate(names)}
    known: dict[str, Buffer] = {}
    constants = Names()

    def made(tensor: Tensor) -> Buffer:
        if tensor.data is None:
            return Buffer.whole(tensor, *where[views.get(tensor.name, tensor.name)])
        name = constants.unique(f"constant_{identifier(tensor.name, 'tensor')}")
        return Buffer.part(tensor, CONSTANTS, 0, name=name, data=tensor.data)

    def buffer(tensor: Tensor) -> Buffer:
        if tensor.name not in known:
            known[tensor.name] = made(tensor)
        return known[tensor.name]

    def call(operator: Operator, layer: int) -> Call:
        inputs = tuple(buffer(tensor) for tensor in operator.inputs)
        outputs = tuple(buffer(tensor) for tensor in operator.outputs)
        return Call.whole(operator, inputs, outputs, layer, _backward(operator, inputs, outputs))

    layers = tuple(tensor for operator in operators for tensor in operator.outputs)
    number = {tensor.name: n for n, tensor in enumerate(layers)}
    sizes = zip(placement.sizes, regions, strict=False)
    return Plan(
        name=graph.name,
        regions=tuple(Region(f"ram{n}", size, memory=name) for n, (size, name) in enumerate(sizes) if size or not n),
        inputs=tuple(buffer(tensor) for tensor in graph.inputs),
        outputs=tuple(buffer(tensor) for tensor in graph.outputs),
        program=tuple(call(operator, number[operator.outputs[0].name]) for operator in operators),
        layers=layers,
        input_tensors=graph.inputs,
        output_tensors=graph.outputs,
        views=views,
        planner=planner,
        bound=placement.bound,
    )


def _backward(operator: Operator, inputs: Sequence[Buffer], outputs: Sequence[Buffer]) -> bool:
    """Only the way from the last pixel to the first reads each shared byte before it overwrites it."""
    for source, read in enumerate(inputs):
        for target, written in enumerate(outputs):
            if operator.reversible and read.overlaps(written):
                forward = distance(operator, source, target)
                return forward is None or not forward.allows(read.offset, written.offset)
    return False
