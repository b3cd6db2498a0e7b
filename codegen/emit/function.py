"""One C function per layer and shape class: which Calls of a Plan share a function, and what its template needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from driftc.codegen.emit.access import C_TYPES, Range, c_type, inside
from driftc.codegen.kernels.kernel import Kernel
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.movement.row_input import RowInput
from driftc.codegen.operators.windowed import Windowed
from driftc.codegen.plan.buffer import PARAMETERS, Buffer, Span
from driftc.codegen.plan.call import Call, static_calls
from driftc.codegen.plan.changing import Kept
from driftc.codegen.plan.plan import Plan, StateBuffer
from driftc.codegen.tensor import Array

Kind = tuple[object, ...]


@dataclass(frozen=True, eq=False)
class Function:
    """A kernel as a C function. Templates see it as `fn`."""

    name: str
    call: Call  # the first that uses it
    rows: Range
    channels: Range
    reduce: Range | None
    kept: tuple[Kept, ...] = ()  # of its constants, those in RAM, where an update changes them

    @property
    def op(self) -> Operator:
        return self.call.computed

    @property
    def kernel(self) -> Kernel:
        return self.call.kernel

    @property
    def constants(self) -> dict[str, Array]:
        return self.kernel.constants(self.op)

    @property
    def x(self) -> Buffer:
        return self.call.inputs[0]

    @property
    def y(self) -> Buffer:
        return self.call.outputs[0]

    @property
    def inputs(self) -> tuple[Buffer, ...]:
        return self.call.inputs

    @property
    def outputs(self) -> tuple[Buffer, ...]:
        return self.call.outputs

    @property
    def static(self) -> str:
        """`static `, where a struct of the layer's constants is itself constant."""
        return "static " if self.channels.literal and not self.kept else ""

    @property
    def sums(self) -> Buffer | None:
        return self.call.sums

    @property
    def epilogue(self) -> str:
        return self.call.epilogue

    @property
    def inside(self) -> str:
        assert isinstance(self.op, Windowed)
        return inside(self.op, self.rows)

    @property
    def outside(self) -> str:
        """The shared constant that a window reads where it leaves the input: one pixel of the zero point."""
        zero = self.op.inputs[0].zero_point
        return f"outside_{'minus' if zero < 0 else 'plus'}_{abs(zero)}"

    @property
    def backward(self) -> bool:
        return self.call.backward

    @property
    def flat(self) -> bool:
        """Every buffer is dense and complete and the call covers all of it: one loop over all elements will do."""
        height, _, channels = self.y.shape
        complete = self.rows.start == 0 and self.rows.count == height
        complete = complete and self.channels.start == 0 and self.channels.count == channels
        return complete and all(buffer.dense for buffer in (*self.inputs, *self.outputs))

    @property
    def folds(self) -> bool:
        """Inputs broadcast to the output as rows x pixels x channels: each extent is the output's, or 1."""
        extents = [zip(buffer.shape, self.y.shape, strict=True) for buffer in self.inputs]
        return all(inner in (1, outer) for pairs in extents for inner, outer in pairs)

    @property
    def alike(self) -> bool:
        """`flat`, and every input has the output's shape."""
        return self.flat and all(buffer.shape == self.y.shape for buffer in self.inputs)

    @property
    def copy(self) -> str:
        """The function that copies a run of bytes: input and output may share some."""
        return "memmove" if _shares_bytes(self.call) else "memcpy"

    @property
    def apart(self) -> str:
        """`restrict`, where inputs and outputs are not the same bytes."""
        return "" if _shares_bytes(self.call) else "restrict "

    def of_group(self, group: str, groups: int) -> Function:
        """The same for the output channels of one of so many groups, of number `group` in C."""
        share = self.channels.count // groups
        return replace(self, channels=Range(f"{group} * {share}", share))

    @property
    def parameters(self) -> str:
        """Pointers to the start of each buffer, then the origins that the program's loops give."""
        apart = self.apart
        ins = names("in", len(self.inputs))
        outs = names("out", len(self.outputs)) if self.epilogue != "accumulate" else []
        texts = [f"const {c_type(b)} *{apart}{n}" for b, n in zip(self.inputs, ins, strict=True)]
        if self.sums is not None:
            texts.append(f"{'const ' if self.epilogue == 'finish' else ''}int32_t *{apart}sums")
        texts += [f"{c_type(b)} *{apart}{n}" for b, n in zip(self.outputs, outs, strict=False)]
        if self.call.scratch is not None:
            texts.append(f"{c_type(self.call.scratch)} *restrict scratch")
        texts += [f"const int8_t *{PARAMETERS}"] if self.kept else []
        return ", ".join([*texts, *(f"int {name}" for name in self.origins)])

    @property
    def kept_parameter(self) -> str:
        """What a part of the layer's function, in a function of its own, takes last; `kept_argument` is given there."""
        return f", const int8_t *{PARAMETERS}" if self.kept else ""

    @property
    def kept_argument(self) -> str:
        return f", {PARAMETERS}" if self.kept else ""

    @property
    def pointers(self) -> dict[str, str]:
        """The names that constants in flash have, of what is kept in RAM -> their declarations."""
        return {
            f"{self.op.name}_{array.key}": f"const {C_TYPES[array.dtype.name]} *const {self.op.name}_{array.key} = "
            f"(const {C_TYPES[array.dtype.name]} *)(const void *)({PARAMETERS} + {array.offset});"
            for array in self.kept
        }

    @property
    def origins(self) -> list[str]:
        spans = (self.rows, self.channels, self.reduce)
        return [span.start for span in spans if span is not None and isinstance(span.start, str)]

    def arguments(self, call: Call, pointer: dict[int, str]) -> str:
        """What `call` passes: `pointer` gives the C expression for each buffer by id."""
        texts = [pointer[id(buffer)] for buffer in call.inputs]
        if call.sums is not None:
            texts.append(pointer[id(call.sums)])
        if call.epilogue != "accumulate":
            texts += [pointer[id(buffer)] for buffer in call.outputs]
        if call.scratch is not None:
            texts.append(pointer[id(call.scratch)])
        texts += [PARAMETERS] if self.kept else []
        spans = (call.rows, call.channels, call.reduce)
        ranges = (self.rows, self.channels, self.reduce)
        pairs = zip(spans, ranges, strict=True)
        texts += [str(span.start) for span, range in pairs if span and range and not range.literal]
        return ", ".join(texts)


def names(stem: str, count: int) -> list[str]:
    """in; or in0, in1, ..."""
    return [stem] if count == 1 else [f"{stem}{number}" for number in range(count)]


class Functions:
    """The functions of a Plan, in program order, and the states that they read and write."""

    def __init__(self, found: dict[Kind, Function], states: tuple[StateBuffer, ...]) -> None:
        self._found = found
        self.states = states

    def __iter__(self) -> Iterator[Function]:
        return iter(self._found.values())

    def of(self, call: Call) -> Function:
        """The one that `call`, of the Plan's program or moved from there, runs."""
        return self._found[_shape_class(call)]


def functions(plan: Plan) -> Functions:
    groups: dict[Kind, list[Call]] = {}
    for call in static_calls(plan.program):
        if isinstance(call.operator, RowInput):
            continue  # the entry point copies the row
        groups.setdefault(_shape_class(call), []).append(call)
    parts: dict[str, int] = {}
    for calls in groups.values():
        parts[calls[0].operator.name] = parts.get(calls[0].operator.name, 0) + 1
    found: dict[Kind, Function] = {}
    kept = {layer.operator.name: layer.arrays for layer in plan.kept}
    number: dict[str, int] = {}
    for kind, calls in groups.items():
        stem = calls[0].operator.name
        number[stem] = number.get(stem, 0) + 1
        name = stem if parts[stem] == 1 else f"{stem}_part{number[stem]}"
        call = calls[0]
        found[kind] = Function(
            name,
            call,
            _range([call.rows for call in calls], "row0"),
            _range([call.channels for call in calls], "channel0"),
            _range([call.reduce for call in calls if call.reduce], "from") if call.reduce else None,
            kept.get(call.operator.name, ()),
        )
    return Functions(found, plan.states)


def _range(spans: list[Span], parameter: str) -> Range:
    """Of all calls of a function: literal where they agree."""
    first = spans[0].start.literal
    alike = first is not None and all(span.start.literal == first for span in spans)
    return Range(spans[0].start.constant if alike else parameter, spans[0].count)


def _shape_class(call: Call) -> Kind:
    """Calls with equal values here differ in pointers and origins alone; an operator that runs again has its name."""

    def span(value: Span | None) -> object:
        return None if value is None else value.count

    def shape(buffer: Buffer | None) -> object:
        if buffer is None:
            return None
        return buffer.shape[1], buffer.strides, buffer.rows, buffer.kept, np.dtype(buffer.dtype).str

    sides = call.computed.padding[2:] if isinstance(call.computed, Windowed) else ()

    return (
        call.operator.name,
        sides,
        call.epilogue,
        call.kernel,
        call.scratch is None,
        span(call.rows),
        span(call.channels),
        span(call.reduce),
        tuple(shape(buffer) for buffer in (*call.inputs, call.sums, *call.outputs)),
        call.backward,
        _shares_bytes(call),
    )


def _shares_bytes(call: Call) -> bool:
    """Two of the call's buffers meet in memory, so that `restrict` would be undefined behaviour."""
    return any(source.overlaps(target) for source in call.inputs for target in call.outputs)
