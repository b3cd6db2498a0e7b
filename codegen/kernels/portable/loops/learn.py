"""What learns on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np

from driftc.codegen.kernels.portable.loops import SIMPLE, Loops, Operators, results_of
from driftc.codegen.kernels.walk import Walk, as_rows, row_major, unordered
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.learn.cross_entropy import CrossEntropy
from driftc.codegen.operators.learn.dense_transposed import DenseTransposed
from driftc.codegen.operators.learn.dense_update import DenseUpdate
from driftc.codegen.operators.learn.entropy import EntropyGradient
from driftc.codegen.operators.learn.master_sums import MasterSums
from driftc.codegen.operators.learn.mean_update import MeanUpdate
from driftc.codegen.operators.learn.meta import MetaAffine, PoolFinish, PoolSums
from driftc.codegen.operators.learn.meta_running import MetaNorm, MetaStatistics, PoolSquares
from driftc.codegen.operators.learn.meta_update import MetaUpdate
from driftc.codegen.operators.learn.narrow import NextNoise
from driftc.codegen.operators.learn.nearest_mean import NearestMean
from driftc.codegen.operators.learn.trained_dense import TrainedDense
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

Kind = TypeVar("Kind", bound=Operator)
Affine = TypeVar("Affine", MetaAffine, MetaNorm)

# Instructions of a value of POOL_SUMS, and of a weight and a row of MASTER_SUMS and DENSE_UPDATE.
ADDED = 2.6
MULTIPLIED, SUMMED_ROW = 6.2, 12.0
MOVED, MOVED_ROW = 12.5, 40.0


class UnorderedLoops(Loops[Kind]):
    """All is read before anything is written, as far as the planner may know."""

    operators: ClassVar[Operators] = (NearestMean, PoolSquares)

    def walk(self, op: Kind, backward: bool = False) -> Walk | None:
        return unordered([tensor.hwc for tensor in op.inputs], [tensor.hwc for tensor in op.outputs])


class MasterSumsLoops(UnorderedLoops[MasterSums]):
    """Each master is rounded where it is used."""

    operators = (MasterSums,)

    def work(self, op: MasterSums, call: Call) -> float:
        return op.macs * MULTIPLIED + results_of(call) * SUMMED_ROW


class CrossEntropyLoops(UnorderedLoops[CrossEntropy]):
    """Scales of the weights, where they differ."""

    operators = (CrossEntropy,)

    def constants(self, op: CrossEntropy) -> dict[str, Array]:
        return differing({"scale": op.scale})


class DenseTransposedLoops(UnorderedLoops[DenseTransposed]):
    """The weights of a layer that is frozen."""

    operators = (DenseTransposed,)

    def constants(self, op: DenseTransposed) -> dict[str, Array]:
        return {"weights": op.weights}


class TrainedDenseLoops(UnorderedLoops[TrainedDense]):
    """Weights are state; scales are constants."""

    operators = (TrainedDense,)

    def constants(self, op: TrainedDense) -> dict[str, Array]:
        shift = (-op.multiplier.shift).astype(np.int8)
        return differing({"multiplier": op.multiplier.value.astype(np.int32), "shift": shift})


class PoolSumsLoops(UnorderedLoops[PoolSums]):
    """Pixel by pixel."""

    operators = (PoolSums,)

    def work(self, op: PoolSums, call: Call) -> float:
        return op.inputs[0].size * ADDED + results_of(call) * SIMPLE


class MeanUpdateLoops(Loops[MeanUpdate]):
    """Once the class is decided row by row, of each the count first; x and the label are read for the last row."""

    operators = (MeanUpdate,)

    def walk(self, op: MeanUpdate, backward: bool = False) -> Walk | None:
        masters, counts, x, label = op.inputs
        steps = as_rows(row_major(masters.shape))
        rows = (np.arange(counts.size, dtype=np.int64) * op.length).reshape(counts.hwc)
        last = masters.size - 1
        return Walk(
            (steps, rows, np.full(x.hwc, last, np.int64), np.full(label.hwc, last, np.int64)),
            (np.zeros(op.outputs[0].hwc, np.int64), steps, rows),
        )


class DenseUpdateLoops(Loops[DenseUpdate]):
    """Row by row; of each the gradient and the bias first."""

    operators = (DenseUpdate,)

    def constants(self, op: DenseUpdate) -> dict[str, Array]:
        return differing({"rate": op.rate, "bias_rate": op.bias_rate})

    def walk(self, op: DenseUpdate, backward: bool = False) -> Walk | None:
        masters, bias, x, gradient, *noise = op.inputs
        steps = as_rows(row_major(masters.shape))
        first = np.arange(bias.size, dtype=np.int64) * op.length
        last = (np.arange(x.size, dtype=np.int64) + masters.size - op.length).reshape(x.hwc)
        rows = first.reshape(bias.hwc)
        until = [np.full(tensor.hwc, masters.size - 1, np.int64) for tensor in noise]
        return Walk((steps, rows, last, first.reshape(gradient.hwc), *until), (steps, rows))

    def work(self, op: DenseUpdate, call: Call) -> float:
        return op.macs * MOVED + op.inputs[1].size * MOVED_ROW


class NextNoiseLoops(Loops[NextNoise]):
    """Read, then written."""

    operators = (NextNoise,)

    def walk(self, op: NextNoise, backward: bool = False) -> Walk | None:
        steps = as_rows(row_major((1,)))
        return Walk((steps,), (steps,))


class EntropyGradientLoops(Loops[EntropyGradient]):
    """The means lie where they were; all else is read before."""

    operators = (EntropyGradient,)

    def constants(self, op: EntropyGradient) -> dict[str, Array]:
        return differing({"scale": op.scale})

    def walk(self, op: EntropyGradient, backward: bool = False) -> Walk | None:
        steps = as_rows(row_major((op.classes,)))
        none = np.zeros(op.outputs[0].hwc, np.int64)
        return Walk(
            (np.full(op.inputs[0].hwc, op.classes, np.int64), steps, steps),
            (none, np.zeros(op.outputs[1].hwc, np.int64), steps, steps),
        )


class MetaAffineLoops(Loops[Affine]):
    """Channel by channel."""

    operators: ClassVar[Operators] = (MetaAffine,)

    def walk(self, op: Affine, backward: bool = False) -> Walk | None:
        steps = as_rows(row_major(op.outputs[0].shape))
        return Walk((steps, steps, steps), (steps,))


class MetaNormLoops(MetaAffineLoops[MetaNorm]):
    """What is known of the source."""

    operators = (MetaNorm,)

    def constants(self, op: MetaNorm) -> dict[str, Array]:
        return {"source": op.source, "level": op.level}


class MetaStatisticsLoops(Loops[MetaStatistics]):
    """Channel by channel, once the largest share is found."""

    operators = (MetaStatistics,)

    def constants(self, op: MetaStatistics) -> dict[str, Array]:
        return {"source": op.source, "spread": op.spread}

    def walk(self, op: MetaStatistics, backward: bool = False) -> Walk | None:
        steps = as_rows(row_major(op.inputs[2].shape))
        return Walk((steps, steps, steps, steps, np.zeros(op.inputs[4].hwc, np.int64)), (steps, steps))


class PoolFinishLoops(Loops[PoolFinish]):
    """Channel by channel."""

    operators = (PoolFinish,)

    def walk(self, op: PoolFinish, backward: bool = False) -> Walk | None:
        steps = row_major((op.inputs[0].size,))
        return Walk((steps.reshape(op.inputs[0].hwc),), (steps.reshape(op.outputs[0].hwc),))


class MetaUpdateLoops(Loops[MetaUpdate]):
    """Channel by channel, once the largest gradient is found; then what is told of them all."""

    operators = (MetaUpdate,)

    def walk(self, op: MetaUpdate, backward: bool = False) -> Walk | None:
        steps = as_rows(row_major(op.inputs[0].shape))
        first = [np.zeros(tensor.hwc, np.int64) for tensor in op.inputs[4:]]
        last = [np.full(tensor.hwc, steps.size - 1, np.int64) for tensor in op.outputs[2:]]
        return Walk((steps, steps, steps, steps, *first), (steps, steps, *last))


def differing(found: dict[str, Array]) -> dict[str, Array]:
    """Those that are not one value; such a value is a literal in the C."""
    return {key: data for key, data in found.items() if np.ptp(data) > 0}
