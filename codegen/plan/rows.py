"""Fused feature-map tiling by rows: operators computed row by row, each keeping the rows that others still need.

What is between them never exists whole: it lies in line buffers, row y at `y mod rows`. Every row is computed once, so
there are no more MACs, and what a residual branch delivers early waits in its own line buffer. Rows are computed when
the row of a result asks for them, as late as can be, and so the line buffers are as short as can be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.operators.base import Box, Operator, Tiling
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.movement.row_input import RowInput
from driftc.codegen.plan.block import Block
from driftc.codegen.plan.buffer import Affine, Buffer, Span
from driftc.codegen.plan.call import Call
from driftc.codegen.plan.pack import Pack
from driftc.codegen.plan.unit import Places, Unit, tiled
from driftc.codegen.tensor import Tensor


class Piece(NamedTuple):
    """Row `row` of what operator number `operator` gives, or what row `row` of its input adds to its sums."""

    operator: int
    row: int


@dataclass(frozen=True, eq=False)
class Stream:
    """`operators`, in an order that can be executed, streamed; a Block stands for the three that it computes.

    `results` are whole: what others need, or nobody; all that is not read by some of `operators` alone.
    """

    operators: tuple[Operator, ...]
    results: tuple[Tensor, ...]
    views: Mapping[str, str]

    @property
    def computed(self) -> tuple[Operator, ...]:
        """The Graph's operators."""
        return tuple(
            part for stage in self.operators for part in (stage.parts if isinstance(stage, Block) else (stage,))
        )

    @cached_property
    def possible(self) -> bool:
        """Every operator can be computed by rows, and reads what is made here as it is."""
        return all(self._admits(operator) for operator in self.operators)

    def _admits(self, operator: Operator) -> bool:
        whole = any(
            tensor.data is None and tensor.name not in self.maker and self.views.get(tensor.name) in self.maker
            for tensor in operator.inputs
        )
        if self._flattened(operator) is not None:
            return operator.epilogue == "requantize"
        by_rows = Tiling.ROWS in operator.divisible or operator.sums_rows
        return by_rows and len(operator.outputs) == 1 and operator.epilogue == "requantize" and not whole

    def _flattened(self, operator: Operator) -> Tensor | None:
        """The map made here that `operator`, a dense layer, reads as one row of values."""
        if not isinstance(operator, FullyConnected) or operator.rows != 1 or operator.inputs[0].hwc[:2] != (1, 1):
            return None
        if operator.inputs[0].start is not None:
            return None
        name = operator.inputs[0].name
        root = self.views.get(name, name)
        return self.operators[self.maker[root]].outputs[0] if root in self.maker else None

    def summed(self, operator: Operator) -> Tensor | None:
        """The tensor whose rows `operator` adds up one by one to its only row; None where it does not."""
        tensor = self._flattened(operator)
        if tensor is None and operator.inputs and operator.sums_rows:
            tensor = operator.inputs[0]
        return tensor if tensor is not None and tensor.hwc[0] > 1 else None

    def turns(self, operator: Operator) -> int:
        """How many calls compute it."""
        return (self.summed(operator) or operator.outputs[0]).hwc[0]

    @cached_property
    def maker(self) -> dict[str, int]:
        """Tensor name -> number of the operator that computes it."""
        return {operator.outputs[0].name: number for number, operator in enumerate(self.operators)}

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """Every row of every operator once, in the order of execution."""
        found: list[Piece] = []
        ready = [0] * len(self.operators)  # rows that are there

        def demand(number: int, row: int) -> None:
            while ready[number] <= row:
                for piece in self._row(number, ready[number]):
                    for name, _, stop in self.reads(piece):
                        demand(self.maker[name], stop - 1)
                    found.append(piece)
                ready[number] += 1

        wanted = sorted(
            ((row + 1) / tensor.hwc[0], self.maker[tensor.name], row)
            for tensor in self.results
            for row in range(tensor.hwc[0])
        )
        for _, number, row in wanted:
            demand(number, row)
        for number, operator in enumerate(self.operators):
            demand(number, operator.outputs[0].hwc[0] - 1)  # rows that nobody reads are part of the tensor too
        return tuple(found)

    def _row(self, number: int, row: int) -> list[Piece]:
        """What gives row `row`."""
        source = self.summed(self.operators[number])
        return [Piece(number, row)] if source is None else [Piece(number, n) for n in range(source.hwc[0])]

    def reads(self, piece: Piece) -> list[tuple[str, int, int]]:
        """Tensors made here that `piece` reads, and the rows [first, stop) of them."""
        operator = self.operators[piece.operator]
        source = self.summed(operator)
        if source is not None:
            return [(source.name, piece.row, piece.row + 1)] if source.name in self.maker else []
        flattened = self._flattened(operator)  # of one row, or it would be summed
        if flattened is not None:
            return [(flattened.name, 0, 1)]
        needs = operator.needs(Box(piece.row, piece.row + 1, 0, operator.outputs[0].hwc[2]))
        pairs = zip(operator.inputs, needs, strict=True)
        return [(t.name, box.row0, box.row1) for t, box in pairs if t.name in self.maker and box.row1 > box.row0]

    @cached_property
    def buffers(self) -> dict[str, tuple[Buffer, NDArray[np.bool_]]]:
        """What is kept of each tensor between, and of each sum, at offset 0; and during which pieces it is needed."""
        whole = {tensor.name for tensor in self.results}
        count = len(self.pieces)
        made: dict[str, list[int]] = {name: [] for name in self.maker}  # when each row is
        last: dict[str, dict[int, int]] = {name: {} for name in self.maker}
        rows: dict[str, int] = dict.fromkeys(self.maker, 1)
        found: dict[str, tuple[Buffer, NDArray[np.bool_]]] = {}
        for time, piece in enumerate(self.pieces):
            for name, first, stop in self.reads(piece):
                rows[name] = max(rows[name], len(made[name]) - first)
                last[name] |= dict.fromkeys(range(first, stop), time)
            operator = self.operators[piece.operator]
            if isinstance(operator, Block):
                for buffer in operator.scratch:
                    _, during = found.setdefault(buffer.name, (buffer, np.zeros(count, np.bool_)))
                    during[time] = True
            if self.summed(operator) is None:
                made[operator.outputs[0].name].append(time)
                continue
            output = operator.outputs[0]
            sums = Buffer.part(output, "", 0, dtype=np.int32, name=f"{output.name} sums")
            _, during = found.setdefault(sums.name, (sums, np.zeros(count, np.bool_)))
            during[time] = True
            if piece.row == self.turns(operator) - 1:
                during[np.flatnonzero(during)[0] : time] = True
                made[output.name].append(time)
        for name, number in self.maker.items():
            if name not in whole:
                during = np.zeros(count, np.bool_)
                for row, start in enumerate(made[name]):
                    during[start : last[name].get(row, start) + 1] = True
                found[name] = Buffer.part(self.operators[number].outputs[0], "", 0, rows=rows[name]), during
        return found

    @cached_property
    def pack(self) -> Pack:
        return Pack(f"{self.computed[0].name}..{self.computed[-1].name} rows", self.buffers)

    def calls(self, places: Places) -> list[Call]:
        made = {tensor.name: places.whole(tensor) for tensor in self.results}
        made |= self.pack.placed(places)
        return [call for piece in self.pieces for call in self._calls(piece, made, places)]

    def unit(self) -> Unit | None:
        """None where an operator cannot be computed by rows."""
        if not self.possible:
            return None
        macs = sum(operator.macs for operator in self.operators)
        return tiled(self.computed, self.calls, self.pack.blocks, self.results, self.views, macs, "rows")

    def _calls(self, piece: Piece, made: Mapping[str, Buffer], places: Places) -> list[Call]:
        operator = self.operators[piece.operator]
        if not isinstance(operator, Block):
            return [self._call(piece, made, places)]
        (source,) = operator.inputs
        return operator.calls(piece.row, made, made.get(source.name) or places.whole(source), places)

    def _call(self, piece: Piece, made: Mapping[str, Buffer], places: Places) -> Call:
        operator = self.operators[piece.operator]
        flattened = self._flattened(operator)
        if flattened is None:
            inputs = tuple(made.get(tensor.name) or places.whole(tensor) for tensor in operator.inputs)
        else:
            inputs = (_as_values(made[flattened.name], operator.inputs[0]),)
        output = made[operator.outputs[0].name]
        every = Span.of(0, output.shape[2])
        layer = None if isinstance(operator, RowInput) else places.layer(operator)
        if self.summed(operator) is None:
            return Call(operator, inputs, (output,), _one(piece.row), every, operator.epilogue, layer=layer)
        values = 1 if flattened is None else flattened.hwc[1] * flattened.hwc[2]
        final = piece.row == self.turns(operator) - 1
        return Call(
            operator,
            inputs,
            (output,),
            Span.of(0, 1),
            every,
            "finish" if final else "accumulate",
            Span(Affine(piece.row * values), values),  # rows, or the values of one
            made[f"{operator.outputs[0].name} sums"],
            layer=layer if final else None,
        )


def _as_values(lines: Buffer, tensor: Tensor) -> Buffer:
    """`lines` as one row of values: value c at `c mod kept`, as row y is at `y mod rows`."""
    item = lines.dtype.itemsize
    kept = lines.rows * lines.shape[1] * lines.shape[2]
    return replace(
        lines, name=tensor.name, shape=tensor.hwc, strides=(kept * item, kept * item, item), rows=1, kept=kept
    )


def _one(row: int) -> Span:
    return Span(Affine(row), 1)
