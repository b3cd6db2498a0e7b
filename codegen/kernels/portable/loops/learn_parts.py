"""What learns on the device of maps between frozen layers."""

from __future__ import annotations

import numpy as np

from driftc.codegen.kernels.packed import in_order
from driftc.codegen.kernels.portable.loops import Loops
from driftc.codegen.kernels.portable.loops.learn import UnorderedLoops, differing
from driftc.codegen.kernels.walk import Walk, as_rows, broadcast, row_major
from driftc.codegen.operators.learn.conv_errors import ConvErrors
from driftc.codegen.operators.learn.errors import ErrorsSum, ErrorsThrough, PooledErrors
from driftc.codegen.operators.learn.map_meta import MapUpdate, MetaMap
from driftc.codegen.operators.learn.masks import LiveBits
from driftc.codegen.tensor import Array


class MetaMapLoops(Loops[MetaMap]):
    """Element by element."""

    operators = (MetaMap,)

    def walk(self, op: MetaMap, backward: bool = False) -> Walk | None:
        return broadcast(op.outputs[0].shape, [tensor.shape for tensor in op.inputs])


class PartLoops(UnorderedLoops[LiveBits | PooledErrors]):
    """Without constants."""

    operators = (LiveBits, PooledErrors)


class ErrorsThroughLoops(Loops[ErrorsThrough]):
    """Element by element; all but the errors is read until the end, where the exponent is written."""

    operators = (ErrorsThrough,)

    def constants(self, op: ErrorsThrough) -> dict[str, Array]:
        return differing({"factor": op.factor})

    def walk(self, op: ErrorsThrough, backward: bool = False) -> Walk | None:
        return _one_by_one(op)


class ErrorsSumLoops(Loops[ErrorsSum]):
    """Once the largest is found, element by element; then the exponent."""

    operators = (ErrorsSum,)

    def walk(self, op: ErrorsSum, backward: bool = False) -> Walk | None:
        return _one_by_one(op)


class ConvErrorsLoops(UnorderedLoops[ConvErrors]):
    """The weights of a layer that is frozen."""

    operators = (ConvErrors,)

    def constants(self, op: ConvErrors) -> dict[str, Array]:
        found = in_order(op.order, op.weights)
        assert found is not None
        return {"weights": found}


def _one_by_one(op: ErrorsThrough | ErrorsSum) -> Walk:
    """Errors of the output's shape are read where they are written; all else until the end."""
    values, exponent = op.outputs
    steps = as_rows(row_major(values.shape))
    read = tuple(
        steps if tensor.hwc == values.hwc and tensor.dtype == values.dtype else np.full(tensor.hwc, steps.size)
        for tensor in op.inputs
    )
    return Walk(read, (steps, np.full(exponent.hwc, steps.size)))


class MapUpdateLoops(Loops[MapUpdate]):
    """Channel by channel; maps, the exponent and what was told are read until the end."""

    operators = (MapUpdate,)

    def walk(self, op: MapUpdate, backward: bool = False) -> Walk | None:
        steps = as_rows(row_major((op.channels,)))
        last = [np.full(tensor.hwc, op.channels, np.int64) for tensor in op.inputs[2:]]
        return Walk((steps, steps, *last), (steps, steps))
