"""The specification, run: operators in NumPy on the Graph, or on a Plan's own buffers and offsets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Box
from driftc.codegen.operators.movement.row_input import RowInput
from driftc.codegen.plan.buffer import CONSTANTS, STATE, Buffer
from driftc.codegen.plan.call import Call
from driftc.codegen.plan.plan import Plan
from driftc.codegen.tensor import Tensor

Array = NDArray[Any]


POISON = -0x55


class GraphRun:
    """A Graph executed inference after inference: its states carry over from one to the next."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.reset()

    def reset(self) -> None:
        """The states' initial values."""
        self.states: dict[str, Array] = {state.tensor.name: state.initial for state in self.graph.states}

    def run(self, inputs: Sequence[Array]) -> dict[str, Array]:
        """Every tensor of one inference by name, in the shapes of the model; states as they were before it."""
        values = dict(self.states)
        for tensor, value in zip(self.graph.inputs, inputs, strict=True):
            values[tensor.name] = np.ascontiguousarray(value, tensor.dtype).reshape(tensor.shape)
        for operator in self.graph.operators:
            arguments = [_value(tensor, values) for tensor in operator.inputs]
            for tensor, value in zip(operator.outputs, operator.spec(*arguments), strict=True):
                values[tensor.name] = value
        for state in self.graph.states:
            self.states[state.tensor.name] = values[state.next].reshape(state.tensor.shape)
        return values


def run_graph(graph: Graph, inputs: Sequence[Array]) -> dict[str, Array]:
    """Every tensor of one inference by name, in the shapes of the model; states begin at their initial values."""
    return GraphRun(graph).run(inputs)


def _value(tensor: Tensor, values: dict[str, Array]) -> Array:
    return tensor.data if tensor.data is not None else values[tensor.name]


class PlanRun:
    """A Plan executed call by call on byte arrays, so that errors of the planner show without a compiler.

    Its states carry over from one run to the next.
    """

    def __init__(self, plan: Plan, poison: int = 0x55) -> None:
        self.plan = plan
        self.memory = {region.name: np.full(region.bytes, poison, np.uint8) for region in plan.memory}
        self.reset()

    def reset(self) -> None:
        """The states' initial values; 0 between them."""
        if self.plan.states:
            self.memory[STATE][:] = 0
        for state in self.plan.states:
            self.write(state.before, _whole(state.before), state.initial)

    @property
    def state(self) -> bytes:
        """The whole region of the states."""
        return self.memory[STATE].tobytes() if self.plan.states else b""

    def run(self, inputs: Sequence[Array]) -> tuple[list[Array], list[Array]]:
        """Outputs, and each hook layer's output assembled as rows x pixels x channels."""
        layers = [np.zeros(tensor.hwc, tensor.dtype) for tensor in self.plan.layers]
        for number, buffer in self.plan.given:
            self.write(buffer, _whole(buffer), np.asarray(inputs[number], buffer.dtype))
        for call, variables in self.plan.calls():
            box = call.box(variables)
            if isinstance(call.operator, RowInput):
                assert self.plan.fed is not None
                rows = np.asarray(inputs[self.plan.fed]).reshape(call.outputs[0].shape)[box.row0 : box.row1]
                self.write(call.outputs[0], box, rows)
                continue
            parts = [call.written(number, variables) for number in range(len(call.outputs))]
            self._call(call, box, parts, call.reduce.at(variables) if call.reduce else None)
            if call.layer is not None:
                for number, (buffer, part) in enumerate(zip(call.outputs, parts, strict=True)):
                    target = layers[call.layer + number]
                    pixels = slice(buffer.pixel0, buffer.pixel0 + buffer.shape[1])
                    within = slice(buffer.row0 + part.row0, buffer.row0 + part.row1)
                    target[within, pixels, part.channel0 : part.channel1] = self.read(buffer, part)
        outputs = [
            self.read(buffer, _whole(buffer)).reshape(tensor.shape)
            for buffer, tensor in zip(self.plan.outputs, self.plan.output_tensors, strict=True)
        ]
        return outputs, layers

    def _call(self, call: Call, box: Box, parts: list[Box], reduce: range | None) -> None:
        part = call.computed.part(box, reduce)
        needed = call.computed.needs(box, reduce)
        arguments = [
            self.read(buffer, window).reshape(tensor.shape)
            for buffer, window, tensor in zip(call.inputs, needed, part.inputs, strict=True)
        ]
        if call.scratch is not None:  # whatever a kernel leaves there
            self.write(call.scratch, _whole(call.scratch), np.full(call.scratch.shape, POISON, call.scratch.dtype))
        if call.sums is None:
            for buffer, written, value in zip(call.outputs, parts, part.spec(*arguments), strict=True):
                self.write(buffer, written, value)
            return
        accumulated = part.accumulate(arguments[0])  # type: ignore[attr-defined]
        if reduce is not None and reduce.start > 0:
            accumulated = accumulated + self.read(call.sums, box).reshape(accumulated.shape)
        if call.epilogue == "accumulate":
            self.write(call.sums, box, accumulated.astype(np.int32))
        else:
            self.write(call.outputs[0], box, part.requantise(accumulated))  # type: ignore[attr-defined]

    def read(self, buffer: Buffer, box: Box) -> Array:
        """The elements in `box`: rows x pixels x channels."""
        if buffer.region == CONSTANTS:
            assert buffer.data is not None
            return buffer.data.reshape(buffer.shape)[box.row0 : box.row1, :, box.channel0 : box.channel1]
        if buffer.dense and box == _whole(buffer):
            raw = self.memory[buffer.region][buffer.offset : buffer.offset + buffer.bytes]
            return raw.copy().view(buffer.dtype).reshape(buffer.shape)
        where = buffer.byte_addresses(box)
        return np.ascontiguousarray(self.memory[buffer.region][where]).view(buffer.dtype)[..., 0]

    def write(self, buffer: Buffer, box: Box, value: Array) -> None:
        if buffer.dense and box == _whole(buffer):
            raw = np.frombuffer(np.ascontiguousarray(value, buffer.dtype).tobytes(), np.uint8)
            self.memory[buffer.region][buffer.offset : buffer.offset + buffer.bytes] = raw
            return
        where = buffer.addresses(box)
        raw = np.ascontiguousarray(value.reshape(where.shape), buffer.dtype)[..., None].view(np.uint8)
        self.memory[buffer.region][where[..., None] + np.arange(buffer.dtype.itemsize)] = raw


def _whole(buffer: Buffer) -> Box:
    return Box(0, buffer.shape[0], 0, buffer.shape[2])
