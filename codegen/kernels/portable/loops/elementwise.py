"""What goes element by element."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np

from driftc.boards.timing import Mix
from driftc.codegen.kernels.portable.loops import Loops, Operators, results_of
from driftc.codegen.kernels.walk import NEVER, Walk, as_rows, broadcast, row_major
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.conversion.quantize import Quantize
from driftc.codegen.operators.conversion.requantize import Requantize
from driftc.codegen.operators.elementwise.broadcast import Broadcast
from driftc.codegen.operators.elementwise.div import Div
from driftc.codegen.operators.elementwise.elementwise import Sum
from driftc.codegen.operators.elementwise.lookup import Lookup
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.normalization.by_row import ByRow
from driftc.codegen.operators.normalization.log_softmax import LogSoftmax
from driftc.codegen.operators.reduction.softmax import Softmax
from driftc.codegen.operators.state.copy import Copy
from driftc.codegen.operators.state.shift_state import ShiftState
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

Kind = TypeVar("Kind", bound=Operator)
Table = TypeVar("Table", bound=Lookup)

PRODUCT, ADDED = 15.0, 21.0  # instructions of an element of MUL, and of ADD or SUB


class BroadcastLoops(Loops[Kind]):
    """Of the output; inputs broadcast to it."""

    operators: ClassVar[Operators] = (Broadcast, Requantize)

    def walk(self, op: Kind, backward: bool = False) -> Walk | None:
        return broadcast(op.outputs[0].shape, [tensor.shape for tensor in op.inputs])


class SumLoops(BroadcastLoops[Sum]):
    """ADD and SUB scale both terms and what they make."""

    operators = (Sum,)
    mix = Mix.of(
        double=0.01,
        multiple=0.005,
        register=0.031,
        store=0.047,
        load=0.15,
        chained=0.147,
        long=0.103,
        taken=0.039,
        pair=0.15,
    )

    def work(self, op: Sum, call: Call) -> float:
        return results_of(call) * ADDED


class MulLoops(BroadcastLoops[Mul]):
    """MUL has one product to scale."""

    operators = (Mul,)

    def work(self, op: Mul, call: Call) -> float:
        return results_of(call) * PRODUCT


class DivLoops(BroadcastLoops[Div]):
    """DIV looks up reciprocals."""

    operators = (Div,)

    def constants(self, op: Div) -> dict[str, Array]:
        return {"reciprocals": op.reciprocals.astype(np.int32)}


class LookupLoops(BroadcastLoops[Table]):
    """A table of 256."""

    operators: ClassVar[Operators] = (Lookup,)

    def constants(self, op: Table) -> dict[str, Array]:
        return {"table": op.table}


class QuantizeLoops(LookupLoops[Quantize]):
    """Of real numbers there is no table."""

    operators = (Quantize,)

    def constants(self, op: Quantize) -> dict[str, Array]:
        return {} if op.real else super().constants(op)


class RowLoops(Loops[Kind]):
    """Rows one after the other; the last of the passes over a row also writes it."""

    operators: ClassVar[Operators] = (ByRow, Copy)

    def walk(self, op: Kind, backward: bool = False) -> Walk | None:
        steps = as_rows(row_major(op.outputs[0].shape))
        return Walk((steps,), (steps,))


class SoftmaxLoops(RowLoops[Softmax | LogSoftmax]):
    """Both look up exponentials."""

    operators = (Softmax, LogSoftmax)

    def constants(self, op: Softmax | LogSoftmax) -> dict[str, Array]:
        return {"exp": op.exponentials.astype(np.int32)}


class ShiftStateLoops(Loops[ShiftState]):
    """The elements that stay, the first first, then the new ones."""

    operators = (ShiftState,)

    def walk(self, op: ShiftState, backward: bool = False) -> Walk | None:
        old, new = op.inputs
        steps = row_major(op.outputs[0].shape).reshape(-1)
        read = np.full(old.size, NEVER, np.int64)
        read[new.size :] = steps[: old.size - new.size]
        behind = steps[old.size - new.size :]
        shapes = (old.shape, new.shape, op.outputs[0].shape)
        rows = [as_rows(part.reshape(shape)) for part, shape in zip((read, behind, steps), shapes, strict=True)]
        return Walk((rows[0], rows[1]), (rows[2],))
