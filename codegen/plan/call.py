"""What a program is made of: calls of kernels on buffers, and loops over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from driftc.codegen.kernels.kernel import Kernel
from driftc.codegen.kernels.portable.default import PORTABLE
from driftc.codegen.operators.base import Box, Operator
from driftc.codegen.operators.windowed import Windowed
from driftc.codegen.plan.buffer import Buffer, Span


@dataclass(frozen=True, eq=False)
class Call:
    """Run `operator` for some rows and channels of its output.

    `epilogue` says what happens to a finished accumulator: "requantize" (to int8, the usual), "accumulate" (store or
    add into the int32 buffer `sums`), "finish" (add what is in `sums`, then requantize). `reduce` limits the input
    channels that are summed, or the input rows of an operator that `sums_rows`. `backward` takes rows and pixels from
    the last to the first. `pixels` are those of each row that are computed, on strips of the buffers: all where it is
    None; the first `seen` of them another call has shown to the hook. `kernel` computes it, in the meantime with all
    of `scratch` for itself.
    """

    operator: Operator
    inputs: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]
    rows: Span
    channels: Span
    epilogue: str = "requantize"
    reduce: Span | None = None
    sums: Buffer | None = None
    layer: int | None = None  # index in Plan.layers; None where the output is not complete yet
    backward: bool = False
    pixels: range | None = None
    seen: int = 0
    kernel: Kernel = PORTABLE
    scratch: Buffer | None = None
    origin: Operator | None = None  # of the Graph, where `operator` is what it does to one sample

    @property
    def planned(self) -> Operator:
        """The operator of the Graph that the call computes, or a part of it."""
        return self.origin or self.operator

    @cached_property
    def computed(self) -> Operator:
        """`operator`, between the strips that the call reads and writes."""
        if self.pixels is None:
            return self.operator
        assert isinstance(self.operator, Windowed)
        return self.operator.strip(self.pixels)

    @classmethod
    def whole(
        cls,
        operator: Operator,
        inputs: tuple[Buffer, ...],
        outputs: tuple[Buffer, ...],
        layer: int,
        backward: bool = False,
        kernel: Kernel = PORTABLE,
        origin: Operator | None = None,
    ) -> Call:
        height, _, channels = outputs[0].shape
        return cls(
            operator,
            inputs,
            outputs,
            Span.of(0, height),
            Span.of(0, channels),
            operator.epilogue,
            layer=layer,
            backward=backward,
            kernel=kernel,
            origin=origin,
        )

    @property
    def buffers(self) -> tuple[Buffer, ...]:
        """All that it reads and writes."""
        inner = (buffer for buffer in (self.sums, self.scratch) if buffer is not None)
        return (*self.inputs, *inner, *self.outputs)

    def box(self, variables: Mapping[str, int]) -> Box:
        return self.written(0, variables)

    def spans(self, number: int) -> tuple[Span, Span]:
        """The rows and channels that are written of output `number`: of any but the first all, or all rows."""
        if number == 0:
            return self.rows, self.channels
        height, _, channels = self.outputs[number].shape
        return Span.of(0, height), self.channels if self.operator.per_channel else Span.of(0, channels)

    def written(self, number: int, variables: Mapping[str, int]) -> Box:
        """`spans` as a Box."""
        rows, channels = (span.at(variables) for span in self.spans(number))
        return Box(rows.start, rows.stop, channels.start, channels.stop)


@dataclass(frozen=True, eq=False)
class Loop:
    """Run `body` with `variable` = start, start + step, ... below stop."""

    variable: str
    start: int
    stop: int
    step: int
    body: tuple[Statement, ...]


Statement = Call | Loop


def static_calls(program: tuple[Statement, ...]) -> Iterator[Call]:
    """Every Call of the text of a program, once."""
    for statement in program:
        if isinstance(statement, Loop):
            yield from static_calls(statement.body)
        else:
            yield statement


def unrolled(program: tuple[Statement, ...], variables: dict[str, int]) -> Iterator[tuple[Call, dict[str, int]]]:
    """Every call of `program` in the order of execution, with the values of the loop variables."""
    for statement in program:
        if isinstance(statement, Loop):
            for value in range(statement.start, statement.stop, statement.step):
                yield from unrolled(statement.body, {**variables, statement.variable: value})
        else:
            yield statement, variables
