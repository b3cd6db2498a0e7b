"""Graph -> Plan: one call a layer in the file's order, views shared, elementwise layers in place, greedy offsets."""

from __future__ import annotations

from driftc.codegen.graph import Graph, Tensor
from driftc.codegen.names import Names, identifier
from driftc.codegen.operators.base import Operator
from driftc.codegen.plan.place import Block, place
from driftc.codegen.plan.plan import CONSTANTS, Buffer, Call, Plan, Region

RAM = "ram0"


def propose(graph: Graph) -> Plan:
    """The untiled Plan."""
    views = _views(graph)
    operators = [operator for operator in graph.operators if not operator.view]
    storage = _storage(graph, operators, views)
    blocks, names = _lifetimes(graph, operators, views, storage)
    offsets, size = place(blocks)
    constants = Names()

    def buffer(tensor: Tensor) -> Buffer:
        if tensor.data is not None:
            name = constants.unique(f"constant_{identifier(tensor.name, 'tensor')}")
            return Buffer.part(tensor, CONSTANTS, 0, name=name, data=tensor.data)
        root = storage[views.get(tensor.name, tensor.name)]
        return Buffer.whole(tensor, RAM, offsets[names[root]])

    known: dict[str, Buffer] = {}

    def shared(tensor: Tensor) -> Buffer:
        if tensor.name not in known:
            known[tensor.name] = buffer(tensor)
        return known[tensor.name]

    return Plan(
        name=graph.name,
        regions=(Region(RAM, size),),
        inputs=tuple(shared(tensor) for tensor in graph.inputs),
        outputs=tuple(shared(tensor) for tensor in graph.outputs),
        program=tuple(
            Call.whole(
                operator,
                tuple(shared(tensor) for tensor in operator.inputs),
                tuple(shared(tensor) for tensor in operator.outputs),
                sum(len(earlier.outputs) for earlier in operators[:position]),
            )
            for position, operator in enumerate(operators)
        ),
        layers=tuple(tensor for operator in operators for tensor in operator.outputs),
        input_tensors=graph.inputs,
        output_tensors=graph.outputs,
        views=views,
    )


def _views(graph: Graph) -> dict[str, str]:
    """Tensor -> the computed tensor whose bytes it is, through any number of reshapes."""
    views: dict[str, str] = {}
    for operator in graph.operators:
        if operator.view:
            source = operator.inputs[0].name
            views[operator.outputs[0].name] = views.get(source, source)
    return views


def _storage(graph: Graph, operators: list[Operator], views: dict[str, str]) -> dict[str, str]:
    """Tensor -> the tensor whose storage it takes over: itself, or the dying input of an in-place operator."""
    last = {views.get(t.name, t.name): n for n, op in enumerate(operators) for t in op.inputs}
    kept = {views.get(tensor.name, tensor.name) for tensor in graph.outputs}
    storage = {tensor.name: tensor.name for tensor in graph.inputs}
    for position, operator in enumerate(operators):
        for tensor in operator.outputs:
            storage[tensor.name] = tensor.name
        if not operator.in_place:
            continue
        target = operator.outputs[0]
        roots = {tensor.name: views.get(tensor.name, tensor.name) for tensor in operator.inputs}
        for tensor in operator.inputs:
            root = roots[tensor.name]
            dying = tensor.data is None and last[root] == position and root not in kept
            alike = all(other.hwc == target.hwc for other in operator.inputs if roots[other.name] == root)
            if dying and alike and tensor.bytes == target.bytes:
                storage[target.name] = storage[root]
                break
    return storage


def _lifetimes(
    graph: Graph, operators: list[Operator], views: dict[str, str], storage: dict[str, str]
) -> tuple[list[Block], dict[str, int]]:
    """One block a storage: bytes, first and last position in the program at which it is in use."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    size: dict[str, int] = {}

    def touch(tensor: Tensor, position: int) -> None:
        if tensor.data is None:
            root = storage[views.get(tensor.name, tensor.name)]
            first.setdefault(root, position)
            last[root] = max(position, last.get(root, position))
            size[root] = max(tensor.bytes, size.get(root, 0))

    for tensor in graph.inputs:
        touch(tensor, 0)
    for position, operator in enumerate(operators):
        for tensor in (*operator.inputs, *operator.outputs):
            touch(tensor, position)
    for tensor in graph.outputs:
        touch(tensor, len(operators))
    names = {root: number for number, root in enumerate(first)}
    return [Block(size[root], first[root], last[root]) for root in first], names
