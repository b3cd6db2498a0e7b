"""What learns on the device of convolutions."""

from __future__ import annotations

from math import prod

import numpy as np

from driftc.codegen.kernels.portable.loops import Loops
from driftc.codegen.kernels.portable.loops.learn import UnorderedLoops, differing
from driftc.codegen.kernels.walk import Walk, as_rows, row_major
from driftc.codegen.operators.learn.conv_gradient import ConvGradient, NormalizedErrors
from driftc.codegen.operators.learn.conv_update import ConvUpdate
from driftc.codegen.operators.learn.dense_gradient import DenseGradient
from driftc.codegen.operators.learn.hold_errors import HoldErrors
from driftc.codegen.operators.learn.joined_errors import JoinedErrors
from driftc.codegen.operators.learn.master_weights import MasterWeights
from driftc.codegen.operators.learn.norm_update import NormUpdate
from driftc.codegen.operators.learn.pool_gradient import PoolGradient
from driftc.codegen.operators.learn.trained_conv import TrainedConv
from driftc.codegen.operators.learn.trained_norm import TrainedNorm
from driftc.codegen.tensor import Array


class TrainedConvLoops(UnorderedLoops[TrainedConv]):
    """Weights are state; scales are constants."""

    operators = (TrainedConv,)

    def constants(self, op: TrainedConv) -> dict[str, Array]:
        shift = (-op.multiplier.shift).astype(np.int8)
        return differing({"multiplier": op.multiplier.value.astype(np.int32), "shift": shift})


class DenseGradientLoops(UnorderedLoops[DenseGradient]):
    """Scales of the weights, where they differ."""

    operators = (DenseGradient,)

    def constants(self, op: DenseGradient) -> dict[str, Array]:
        return differing({"scale": op.scale})


class HoldErrorsLoops(UnorderedLoops[HoldErrors]):
    """Which channels are held."""

    operators = (HoldErrors,)

    def constants(self, op: HoldErrors) -> dict[str, Array]:
        return differing({"held": op.held})


class ConvGradientLoops(UnorderedLoops[ConvGradient]):
    """Scales of the channels, where they differ."""

    operators = (ConvGradient,)

    def constants(self, op: ConvGradient) -> dict[str, Array]:
        return differing({"scale": op.scale})


class PoolGradientLoops(UnorderedLoops[PoolGradient]):
    """Windows, which may share points."""

    operators = (PoolGradient,)


class JoinedErrorsLoops(UnorderedLoops[JoinedErrors]):
    """Both exponents are read before, and one is written behind all."""

    operators = (JoinedErrors,)


class NormalizedErrorsLoops(Loops[NormalizedErrors]):
    """Element by element once the largest is found; then the exponent, which was read before."""

    operators = (NormalizedErrors,)

    def walk(self, op: NormalizedErrors, backward: bool = False) -> Walk | None:
        steps = as_rows(row_major(op.inputs[0].shape))
        return Walk((steps, np.zeros((1, 1, 1), np.int64)), (steps, np.full((1, 1, 1), steps.size, np.int64)))


class MasterWeightsLoops(Loops[MasterWeights]):
    """The weights, then the biases."""

    operators = (MasterWeights,)

    def walk(self, op: MasterWeights, backward: bool = False) -> Walk | None:
        weights, bias = op.inputs
        steps = as_rows(row_major(weights.shape))
        after = as_rows(row_major(bias.shape) + weights.size)
        return Walk((steps, after), (steps, after))


class TrainedNormLoops(Loops[TrainedNorm]):
    """Channel by channel."""

    operators = (TrainedNorm,)

    def walk(self, op: TrainedNorm, backward: bool = False) -> Walk | None:
        steps = as_rows(row_major(op.inputs[0].shape))
        return Walk((steps,) * 4, (steps,) * 2)


class NormUpdateLoops(Loops[NormUpdate]):
    """Channel by channel; the map, errors and masks are read until the end."""

    operators = (NormUpdate,)

    def walk(self, op: NormUpdate, backward: bool = False) -> Walk | None:
        steps = as_rows(row_major(op.inputs[0].shape))
        last = [np.full(tensor.hwc, op.channels, np.int64) for tensor in op.inputs[3:]]
        return Walk((steps, steps, steps, *last), (steps, steps))


class ConvUpdateLoops(Loops[ConvUpdate]):
    """Filter by filter: the bias, then each weight once its sum is there; the maps are read until the end."""

    operators = (ConvUpdate,)

    def constants(self, op: ConvUpdate) -> dict[str, Array]:
        return differing({"rate": op.rate, "bias_rate": op.bias_rate})

    def walk(self, op: ConvUpdate, backward: bool = False) -> Walk | None:
        masters, bias, *maps = op.inputs
        steps = as_rows(row_major(masters.shape))
        first = (np.arange(bias.size, dtype=np.int64) * prod(op.filters[1:])).reshape(bias.hwc)
        last = [np.full(tensor.hwc, masters.size - 1, np.int64) for tensor in maps]
        return Walk((steps, first, *last), (steps, first))
