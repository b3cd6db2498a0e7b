"""What makes one value of several: pools, reductions along axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from driftc.boards.timing import Mix
from driftc.codegen.kernels.portable.loops import RESULT, Loops, results_of, share_of
from driftc.codegen.kernels.walk import NEVER, Walk, as_rows, row_major, visits
from driftc.codegen.operators.reduction.arg_extreme import ArgExtreme
from driftc.codegen.operators.reduction.average_pool_2d import AveragePool2D
from driftc.codegen.operators.reduction.cumsum import Cumsum
from driftc.codegen.operators.reduction.mean import Mean
from driftc.codegen.operators.reduction.pool import Pool
from driftc.codegen.operators.reduction.reduce import Reduce

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

Kind = TypeVar("Kind", bound=Reduce)

# Instructions of a point of a window that is there, of its rows, and of a result.
AVERAGE, LARGEST = (4.2, 12.5, 15.0), (6.2, 12.5, 2.5)
MEANT = 10.0  # of a value of a MEAN


class PoolLoops(Loops[Pool]):
    """Pixel by pixel, channel by channel."""

    operators = (Pool,)
    mix = Mix.of(store=0.012, load=0.127, chained=0.006, divide=0.004, used=0.061, taken=0.108, pair=0.365)

    def walk(self, op: Pool, backward: bool = False) -> Walk | None:
        computed, last = visits(op, backward)
        count = op.inputs[0].shape[3]
        channels = np.arange(count)
        read = np.where(last[..., None] == NEVER, NEVER, last[..., None] * count + channels)
        return Walk((read,), (computed[..., None] * count + channels,))

    def reverses(self, op: Pool) -> bool:
        return True

    def work(self, op: Pool, call: Call) -> float:
        point, row, result = AVERAGE if isinstance(op, AveragePool2D) else LARGEST
        rows = call.reduce.count if call.reduce else op.mean_inside(0)
        return results_of(call) * (rows * (point * op.mean_inside(1) + row) + result)


class ReduceLoops(Loops[Kind]):
    """Result by result, each from all the values it is made of."""

    operators = (Reduce,)

    def walk(self, op: Kind, backward: bool = False) -> Walk | None:
        shape = op.inputs[0].shape
        steps = row_major(tuple(1 if axis in op.axes else extent for axis, extent in enumerate(shape)))
        return Walk((as_rows(np.broadcast_to(steps, shape)),), (steps.reshape(op.outputs[0].hwc),))


class MeanLoops(ReduceLoops[Mean]):
    """Sums, which are then scaled."""

    operators = (Mean,)

    def work(self, op: Mean, call: Call) -> float:
        part = call.reduce.count / op.inputs[0].hwc[0] if call.reduce else 1.0
        return op.inputs[0].size * share_of(call) * part * MEANT + results_of(call) * RESULT


class ArgExtremeLoops(Loops[ArgExtreme]):
    """As a reduction along its axis."""

    operators = (ArgExtreme,)

    def walk(self, op: ArgExtreme, backward: bool = False) -> Walk | None:
        shape = op.inputs[0].shape
        steps = row_major(tuple(1 if axis == op.axis else extent for axis, extent in enumerate(shape)))
        return Walk((as_rows(np.broadcast_to(steps, shape)),), (steps.reshape(op.outputs[0].hwc),))


class CumsumLoops(Loops[Cumsum]):
    """Line by line along the axis."""

    operators = (Cumsum,)

    def walk(self, op: Cumsum, backward: bool = False) -> Walk | None:
        before, along, behind = op.extents
        steps = np.arange(before * along * behind).reshape(before, behind, along).transpose(0, 2, 1)
        steps = as_rows(np.ascontiguousarray(steps[:, :: -1 if op.reverse else 1]).reshape(op.inputs[0].shape))
        return Walk((steps,), (steps,))
