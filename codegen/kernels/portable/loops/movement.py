"""What moves elements, and what makes more of them."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.kernels.portable.loops import Loops, Operators, results_of, share_of
from driftc.codegen.kernels.walk import NEVER, Steps, Walk, row_major, unordered
from driftc.codegen.operators.movement.concatenation import Concatenation
from driftc.codegen.operators.movement.depth_to_space import DepthToSpace
from driftc.codegen.operators.movement.move import Indices, Move, Nest
from driftc.codegen.operators.movement.row_input import RowInput
from driftc.codegen.operators.movement.selection import Selection, smallest
from driftc.codegen.operators.movement.space_batch import SpaceBatch
from driftc.codegen.operators.resize.resize_bilinear import ResizeBilinear
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

Kind = TypeVar("Kind", bound=Move)

# Instructions.
COPIED = 0.5  # a byte
RUN = 6.0  # of bytes, besides these
ALONE = 5.0  # an element that is copied by itself


class MoveLoops(Loops[Kind]):
    """A run is read before it is written; runs follow each other."""

    operators: ClassVar[Operators] = (Move,)

    def walk(self, op: Kind, backward: bool = False) -> Walk | None:
        tables = self.constants(op)
        read = [np.full(tensor.size, NEVER, np.int64) for tensor in op.inputs]
        late = np.iinfo(np.int64).max
        written = [np.full(tensor.size, late if op.fill is None else 0, np.int64) for tensor in op.outputs]
        step = 1
        for nest in op.nests():
            where, into = _places(nest, tables)
            together = nest.at_once(op.outputs[nest.target].dtype.itemsize)
            count = where.size // together
            steps = np.repeat(step + np.arange(count), together)
            np.maximum.at(read[nest.source], where, steps)
            np.minimum.at(written[nest.target], into, steps)
            step += count
        shapes = [tensor.hwc for tensor in (*op.inputs, *op.outputs)]
        folded = [steps.reshape(shape) for steps, shape in zip([*read, *written], shapes, strict=True)]
        return Walk(tuple(folded[: len(read)]), tuple(np.minimum(steps, step) for steps in folded[len(read) :]))

    def work(self, op: Kind, call: Call) -> float:
        item = call.outputs[0].dtype.itemsize
        return share_of(call) * sum(_moved(nest, item) for nest in op.nests())


class ConcatenationLoops(MoveLoops[Concatenation]):
    """Input after input; of some rows in an order of their own."""

    operators = (Concatenation,)

    def walk(self, op: Concatenation, backward: bool = False) -> Walk | None:
        return _unordered(op) if op.rows else super().walk(op, backward)


class DepthToSpaceLoops(MoveLoops[DepthToSpace]):
    """Of some rows in an order of their own."""

    operators = (DepthToSpace,)

    def walk(self, op: DepthToSpace, backward: bool = False) -> Walk | None:
        return super().walk(op, backward) if op.rows is None else _unordered(op)


class SelectionLoops(MoveLoops[Selection]):
    """Of a part, which goes row by row: all is read last, as the planner takes it."""

    operators = (Selection,)

    def constants(self, op: Selection) -> dict[str, Array]:
        return {
            f"axis{number}": axis.astype(smallest(axis))
            for number, axis in enumerate(op.indices)
            if any(loop.table for stretch in op.stretches[number] for loop in stretch.loops)
        }

    def walk(self, op: Selection, backward: bool = False) -> Walk | None:
        return super().walk(op, backward) if op.pieces is None else _unordered(op)


class SpaceBatchLoops(MoveLoops[SpaceBatch]):
    """Where an axis goes by no loops, by a table."""

    operators = (SpaceBatch,)

    def constants(self, op: SpaceBatch) -> dict[str, Array]:
        tables = zip(op.places(), op.axes(), strict=True)
        return {
            f"axis{axis}": places.astype(smallest(places))
            for axis, (places, found) in enumerate(tables)
            if any(loop.table for stretch in found for loop in stretch.loops)
        }


class RowInputLoops(Loops[RowInput]):
    """A row is copied as it is."""

    operators = (RowInput,)

    def work(self, op: RowInput, call: Call) -> float:
        return results_of(call) * COPIED


class ResizeBilinearLoops(Loops[ResizeBilinear]):
    """Pixel by pixel, channel by channel."""

    operators = (ResizeBilinear,)

    def walk(self, op: ResizeBilinear, backward: bool = False) -> Walk | None:
        if op.inputs[0].shape[0] != 1:
            return None
        height, width, channels = op.inputs[0].hwc
        row, pixel = _last(op.grid[0], height), _last(op.grid[1], width)
        last = (row[:, None] * op.outputs[0].hwc[1] + pixel) * channels
        last[(row == NEVER)[:, None] | (pixel == NEVER)] = NEVER
        read = np.where(last[..., None] == NEVER, NEVER, last[..., None] + np.arange(channels))
        return Walk((read,), (row_major(op.outputs[0].hwc),))


def _unordered(op: Move) -> Walk:
    return unordered([tensor.hwc for tensor in op.inputs], [op.outputs[0].hwc])


def _places(nest: Nest, tables: dict[str, Array]) -> tuple[Indices, Indices]:
    """The elements that `nest` reads and writes, in order."""
    where, into = np.array(nest.read), np.array(nest.written)
    for loop in nest.loops:
        turns = np.arange(loop.count)
        ahead = tables[loop.table].astype(np.int64) if loop.table else turns
        where = np.add.outer(where, loop.read * (turns if loop.scatters else ahead))
        into = np.add.outer(into, loop.write * (ahead if loop.scatters else turns))
    return where.reshape(-1), into.reshape(-1)


def _moved(nest: Nest, item: int) -> float:
    """The copies of elements of `item` bytes."""
    turns = prod(loop.count for loop in nest.outer)
    if nest.spread > 1 or nest.at_once(item) > 1:
        return turns * (RUN + COPIED * item * max(nest.spread, nest.run))
    return turns * ALONE * nest.run


def _last(axis: tuple[NDArray[np.int64], ...], size: int) -> Steps:
    """For each index of the input the last of the output that reads it."""
    found = np.full(size, NEVER, np.int64)
    for indices in axis[:2]:
        np.maximum.at(found, indices, np.arange(len(indices)))
    return found
