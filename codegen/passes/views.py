"""After this pass what only copies one run of its input's bytes is a view of them, and costs nothing.

Slices and pieces along the first axes that are longer than one, above all. Left alone: what begins between two words;
what concerns states, which have a place of their own; and pieces that are less than half of a tensor, which would have
to be kept for their sake.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.movement.move import Move
from driftc.codegen.operators.movement.part import Part
from driftc.codegen.tensor import Tensor

WORD = 4  # bytes, to which kernels may expect whole tensors to be aligned


def views(graph: Graph) -> Graph:
    roots = _roots(graph.operators)
    copies = list(_copies(graph, roots))
    sizes = {tensor.name: tensor.bytes for tensor in graph.tensors()}
    wanted: dict[str, int] = {}
    for copy in copies:
        root = roots.get(copy.inputs[0].name, copy.inputs[0].name)
        wanted[root] = wanted.get(root, 0) + sum(tensor.bytes for tensor in copy.outputs)
    kept = {root for root, size in wanted.items() if 2 * size >= sizes.get(root, 0)}
    chosen = [op for op in copies if roots.get(op.inputs[0].name, op.inputs[0].name) in kept]
    if not chosen or all(operator.view or operator in chosen for operator in graph.operators):
        return graph
    operators: list[Operator] = []
    moved: dict[str, Tensor] = {}
    for operator in graph.operators:
        inputs = tuple(moved.get(tensor.name, tensor) for tensor in operator.inputs)
        if any(one is not other for one, other in zip(inputs, operator.inputs, strict=True)):
            operator = replace(operator, inputs=inputs)
        if isinstance(operator, Move) and any(operator.outputs[0].name == op.outputs[0].name for op in chosen):
            made: Iterable[Operator] = _parts(operator)
        elif operator.view and inputs[0].start is not None:
            made = [replace(operator, outputs=(replace(operator.outputs[0], start=inputs[0].start),))]
        else:
            made = [operator]
        for each in made:
            operators.append(each)
            moved |= {tensor.name: tensor for tensor in each.outputs if each.view}
    outputs = tuple(moved.get(tensor.name, tensor) for tensor in graph.outputs)
    return replace(graph, operators=tuple(operators), outputs=outputs)


def _roots(operators: Iterable[Operator]) -> dict[str, str]:
    """Tensor -> the computed tensor whose bytes it is, or has some of, once all copies are views."""
    roots: dict[str, str] = {}
    for operator in operators:
        if operator.view or (isinstance(operator, Move) and operator.firsts is not None):
            source = operator.inputs[0].name
            roots |= dict.fromkeys((tensor.name for tensor in operator.outputs), roots.get(source, source))
    return roots


def _copies(graph: Graph, roots: dict[str, str]) -> Iterator[Move]:
    """What could be views."""
    names = {name for state in graph.states for name in (state.tensor.name, state.next)}
    states = names | {roots[name] for name in names if name in roots}
    for operator in graph.operators:
        firsts = operator.firsts if isinstance(operator, Move) else None
        if firsts is None or operator.inputs[0].data is not None:
            continue
        assert isinstance(operator, Move)
        item = operator.outputs[0].dtype.itemsize
        source = operator.inputs[0].name
        mine = {source, roots.get(source, source), *(tensor.name for tensor in operator.outputs)}
        if not mine & states and all(first * item % WORD == 0 for first in firsts):
            yield operator


def _parts(operator: Move) -> Iterator[Operator]:
    (x,), firsts = operator.inputs, operator.firsts
    assert firsts is not None
    for number, (tensor, first) in enumerate(zip(operator.outputs, firsts, strict=True)):
        start = (x.start or 0) + first * tensor.dtype.itemsize
        whole = x.start is None and tensor.size == x.size
        yield Part(
            name=operator.name if len(firsts) == 1 else f"{operator.name}_{number}",
            label=tensor.label,
            index=operator.index,
            inputs=operator.inputs,
            outputs=(tensor if whole else replace(tensor, start=start),),
            first=first,
        )
