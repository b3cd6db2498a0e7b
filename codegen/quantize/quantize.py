"""Float Graph -> int8 Graph, in TFLite's arithmetic: int8 activations, weights with a scale per output channel.

The Graph given has no batch normalisation (`fold`) and its activations are fused (`activate`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from driftc.codegen.errors import ModelError
from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.conversion.quantize import Quantize
from driftc.codegen.operators.movement.gather import Gather
from driftc.codegen.quantize.ranges import Range, quantization
from driftc.codegen.tensor import Quantization, Tensor

INT8 = np.dtype(np.int8)


def observed(graph: Graph) -> list[Tensor]:
    """The tensors whose range must be known: all that are computed and whose quantisation is free."""
    computed = [
        tensor
        for operator in graph.operators
        if (not operator.keeps_scale or len(operator.inputs) > 1) and operator.fixed_quantization is None
        if not isinstance(operator, Gather)
        for tensor in operator.outputs
        if tensor.dtype == np.float32
    ]
    return [*(tensor for tensor in graph.inputs if tensor.dtype == np.float32), *computed]


def quantize(graph: Graph, ranges: Mapping[str, Range]) -> Graph:
    """`ranges` holds what each of the `observed` tensors reaches, by its name."""
    if not graph.is_float:
        raise ModelError(f"{graph.source}: is not float; the model is quantised already, in part")
    alike = _Alike(graph)
    chosen = alike.quantizations(ranges)
    values: dict[str, Tensor] = {}

    def place(tensor: Tensor) -> Tensor:
        made = tensor
        if tensor.dtype == np.float32:
            made = replace(tensor, dtype=INT8, quantization=chosen[alike.root(tensor.name)])
        values[tensor.name] = made
        return made

    inputs = tuple(place(tensor) for tensor in graph.inputs)
    operators: list[Operator] = []
    for operator in graph.operators:
        outputs = tuple(place(tensor) for tensor in operator.outputs)
        like = outputs[0].quantization if operator.keeps_scale else None
        arguments = [_constant(t, like) if t.data is not None else values[t.name] for t in operator.inputs]
        if operator.keeps_scale:
            for position, tensor in enumerate(arguments):
                if tensor.dtype == INT8 and outputs[0].quantization and not _alike(outputs[0], tensor):
                    arguments[position] = _requantized(operators, operator, position, tensor, outputs[0].quantization)
        if operator.centred and arguments[0].zero_point != 0:
            arguments[0] = _requantized(operators, operator, 0, arguments[0], _centred(arguments[0]))
        made = operator.quantized(tuple(arguments), outputs)
        made.check()
        operators.append(made)
    return replace(
        graph, operators=tuple(operators), inputs=inputs, outputs=tuple(values[t.name] for t in graph.outputs)
    )


def _alike(a: Tensor, b: Tensor) -> bool:
    return a.quantization is not None and a.quantization.same_as(b.quantization)


class _Alike:
    """Tensors that must be quantised alike, as sets with a root each."""

    def __init__(self, graph: Graph) -> None:
        self._parent: dict[str, str] = {}
        self._fixed: dict[str, Quantization] = {}
        for operator in graph.operators:
            fixed = _constant(operator.table, None).quantization if isinstance(operator, Gather) else None
            fixed = fixed or operator.fixed_quantization
            if fixed is not None:
                self._fixed.update((tensor.name, fixed) for tensor in operator.outputs)
        joining = [operator for operator in graph.operators if operator.keeps_scale]
        # Several inputs may disagree, one cannot: those with one input come first.
        for operator in sorted(joining, key=lambda operator: len(operator.inputs)):
            output, *others = (tensor.name for tensor in operator.outputs)
            read = [t.name for t in operator.inputs if t.data is None and t.dtype == np.float32]
            for name in others:
                self._join(output, name, forced=True)
            for name in read:
                self._join(output, name, forced=len(read) == 1)
            fixed = self._fixed.get(self.root(read[0])) if read else None
            if fixed is not None and all(fixed.same_as(self._fixed.get(self.root(name))) for name in read):
                self._fixed.setdefault(self.root(output), fixed)

    def root(self, name: str) -> str:
        while name in self._parent:
            name = self._parent[name]
        return name

    def _join(self, a: str, b: str, forced: bool) -> None:
        a, b = self.root(a), self.root(b)
        fixed = [self._fixed[name] for name in (a, b) if name in self._fixed]
        if a == b or (fixed and not forced):
            return
        self._parent[b] = a
        if fixed:
            self._fixed[a] = fixed[-1]

    def quantizations(self, ranges: Mapping[str, Range]) -> dict[str, Quantization]:
        """By root: fixed, or from the union of the members' ranges."""
        reach: dict[str, Range] = {}
        for name, (low, high) in ranges.items():
            before = reach.get(self.root(name), (0.0, 0.0))
            reach[self.root(name)] = (min(before[0], low), max(before[1], high))
        return {root: quantization(*reached) for root, reached in reach.items()} | self._fixed


def _constant(tensor: Tensor, like: Quantization | None) -> Tensor:
    """An operand of ADD, MUL and the like, quantised as `like`, else by its own range."""
    assert tensor.data is not None
    if tensor.dtype != np.float32:
        return tensor
    low, high = float(min(tensor.data.min(), 0.0)), float(max(tensor.data.max(), 0.0))
    found = like or quantization(low, high)
    steps = np.rint(tensor.data.astype(np.float64) / found.scale[0]) + found.zero_point[0]
    return replace(tensor, dtype=INT8, quantization=found, data=np.clip(steps, -128, 127).astype(np.int8))


def _centred(tensor: Tensor) -> Quantization:
    """With zero point 0, as far as `tensor` reaches."""
    reach = max(127 - tensor.zero_point, 128 + tensor.zero_point)
    return Quantization.per_tensor(tensor.scale * reach / 127, 0)


def _requantized(
    operators: list[Operator], operator: Operator, position: int, tensor: Tensor, like: Quantization
) -> Tensor:
    """`tensor` as `like` has it, by a QUANTIZE of its own, which is appended to `operators`."""
    label = f"{operator.label}/input_{position}"
    output = replace(tensor, name=f"{operator.name}/input_{position}", label=label, quantization=like)
    made = Quantize(name=f"{operator.name}_input_{position}", inputs=(tensor,), outputs=(output,), label=label)
    made.check()
    operators.append(made)
    return output
