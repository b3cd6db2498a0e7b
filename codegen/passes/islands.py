"""After this pass what only moves elements does so in int8, where a file turns bytes into reals for it and back.

Converters leave DEQUANTIZE - UNPACK - QUANTIZE where they know no int8 kernel. Every element of such an island is one
byte's real value, so that moving the bytes is exact; where the scale behind the island is another, a table of 256
holds what DEQUANTIZE and QUANTIZE make of each byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.conversion.dequantize import Dequantize
from driftc.codegen.operators.conversion.quantize import Quantize
from driftc.codegen.operators.movement.move import Move
from driftc.codegen.operators.movement.view import View
from driftc.codegen.tensor import Quantization, Tensor

INT8 = np.dtype(np.int8)


def islands(graph: Graph) -> Graph:
    """Apply to a Graph as its file has it. Models that are float throughout stay as they are."""
    if not any(isinstance(op, Dequantize) and op.inputs[0].data is None for op in graph.operators):
        return graph
    return _Islands(graph).graph()


class _Islands:
    def __init__(self, graph: Graph) -> None:
        self.source = graph
        self.readers = graph.consumers()
        self.wanted = {tensor.name for tensor in graph.outputs}
        self.bytes: dict[str, Tensor] = {}  # float tensor -> the int8 one whose real values it holds
        self.done: set[Operator] = set()  # QUANTIZE whose result something before it gives
        self.operators: list[Operator] = []

    def graph(self) -> Graph:
        for operator in self.source.operators:
            if operator in self.done:
                continue
            if isinstance(operator, Quantize) and operator.real and operator.inputs[0].name in self.bytes:
                source = self.bytes[operator.inputs[0].name]
                self._add(replace(operator, inputs=(source,), through_reals=True))
                continue
            if isinstance(operator, Move | View) and operator.is_float and self._moved(operator):
                continue
            if isinstance(operator, Dequantize) and operator.inputs[0].dtype == INT8:
                self.bytes[operator.outputs[0].name] = operator.inputs[0]
            self.operators.append(operator)
        kept = self._needed()
        made = {tensor.name for operator in kept for tensor in operator.outputs}
        fused = {
            operator.outputs[0].name: self._reader(kept, operator.inputs[0])
            for operator in self.source.operators
            if isinstance(operator, Dequantize) and operator.outputs[0].name not in made
        }
        return replace(self.source, operators=tuple(kept), fused=self.source.fused | fused)

    def _add(self, operator: Operator) -> None:
        operator.check()
        self.operators.append(operator)

    def _moved(self, operator: Operator) -> bool:
        """Have `operator` move bytes; False where it cannot."""
        sources = [self.bytes.get(tensor.name) for tensor in operator.inputs if tensor.data is None]
        known = [source for source in sources if source is not None]
        readers = [reader for tensor in operator.outputs for reader in self.readers.get(tensor.name, [])]
        if not known or len(known) < len(sources):
            return False
        target = self._target(operator, known, readers)
        if target is None:
            return False
        inputs = tuple(self._input(operator, n, tensor, target) for n, tensor in enumerate(operator.inputs))
        outputs = tuple(self._output(tensor, target) for tensor in operator.outputs)
        self._add(operator.quantized(inputs, outputs))
        for number, (moved, real) in enumerate(zip(outputs, operator.outputs, strict=True)):  # for what computes on it
            name = f"{operator.name}_real_{number}"
            self._add(Dequantize(name=name, inputs=(moved,), outputs=(real,), label=real.label))
        return True

    def _target(
        self, operator: Operator, sources: Sequence[Tensor], readers: Sequence[Operator]
    ) -> Quantization | None:
        """What the moved bytes are quantised as: as they come, where that is one way, else as all readers want them."""
        first = sources[0].quantization
        constants = [tensor for tensor in operator.inputs if tensor.data is not None]
        alike = first is not None and all(first.same_as(source.quantization) for source in sources[1:])
        if first is not None and alike and all(_exact(tensor, first) for tensor in constants):
            return first
        wanted = [reader.outputs[0].quantization for reader in readers if isinstance(reader, Quantize)]
        if not wanted or len(wanted) < len(readers) or wanted[0] is None:
            return None
        return wanted[0] if all(wanted[0].same_as(other) for other in wanted[1:]) else None

    def _input(self, operator: Operator, position: int, tensor: Tensor, target: Quantization) -> Tensor:
        source = tensor if tensor.data is not None else self.bytes[tensor.name]
        if source.dtype == INT8 and target.same_as(source.quantization):
            return source
        made = replace(
            tensor, name=f"{operator.name}/input_{position}", dtype=INT8, quantization=target, data=None, index=None
        )
        step = Quantize(
            name=f"{operator.name}_input_{position}",
            inputs=(source,),
            outputs=(made,),
            label=tensor.label,
            through_reals=source.dtype == INT8,
        )
        if source.data is not None:
            return replace(made, data=step.spec(source.data)[0])
        self._add(step)
        return made

    def _output(self, tensor: Tensor, target: Quantization) -> Tensor:
        """The int8 tensor for `tensor`: the result of a QUANTIZE that changes nothing, where one reads it."""
        made = replace(tensor, name=f"{tensor.name}/int8", dtype=INT8, quantization=target, index=None)
        for reader in self.readers.get(tensor.name, []):
            result = reader.outputs[0]
            if isinstance(reader, Quantize) and result.dtype == INT8 and target.same_as(result.quantization):
                made = result
                self.done.add(reader)
                break
        self.bytes[tensor.name] = made
        return made

    def _needed(self) -> list[Operator]:
        """Without the DEQUANTIZE that nothing reads any more."""
        read = {tensor.name for operator in self.operators for tensor in operator.inputs} | self.wanted
        return [
            operator
            for operator in self.operators
            if not isinstance(operator, Dequantize) or operator.outputs[0].name in read
        ]

    def _reader(self, operators: Sequence[Operator], tensor: Tensor) -> str:
        """The first layer that reads `tensor`: where it is observable."""
        readers = (operator for operator in operators if any(tensor.name == other.name for other in operator.inputs))
        return next((operator.name for operator in readers), tensor.name)


def _exact(tensor: Tensor, target: Quantization) -> bool:
    """The constant's reals are all values of bytes of `target`."""
    assert tensor.data is not None
    steps = tensor.data.astype(np.float64) / np.float64(target.scale[0]) + np.float64(target.zero_point[0])
    return bool(np.all((steps == np.rint(steps)) & (steps >= -128) & (steps <= 127)))
