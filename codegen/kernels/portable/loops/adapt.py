"""Layers that are normalised live, and what normalises them."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

import numpy as np

from driftc.codegen.kernels.portable.loops import Loops, Operators
from driftc.codegen.kernels.portable.loops.weighted import Conv2DLoops, DepthwiseConv2DLoops, FullyConnectedLoops
from driftc.codegen.kernels.walk import NEVER, Walk, broadcast, row_major
from driftc.codegen.operators.adapt.adapt_affine import AdaptAffine
from driftc.codegen.operators.adapt.adapt_kernel import AdaptKernel
from driftc.codegen.operators.adapt.adapt_rank import AdaptRank
from driftc.codegen.operators.adapt.adapt_statistics import AdaptStatistics
from driftc.codegen.operators.adapt.adapt_trust import AdaptTrust
from driftc.codegen.operators.adapt.live import LiveConv2D, LiveDepthwiseConv2D, LiveFullyConnected
from driftc.codegen.operators.adapt.tensor_statistics import TensorStatistics
from driftc.codegen.tensor import Array

Kind = TypeVar("Kind", bound=AdaptKernel)


class LiveLoops(Loops[Any]):
    """As those of the layer; the statistics are cleared before the first step."""

    def constants(self, op: Any) -> dict[str, Array]:
        return super().constants(op) | (op.scale_constants() if op.in_int8 else {})

    def walk(self, op: Any, backward: bool = False) -> Walk | None:
        whole = super().walk(op, backward)
        if whole is None:
            return None
        cleared = np.full((1, 1, op.channels), NEVER, np.int64)
        return Walk(whole.read, (*whole.written, cleared, cleared))


class LiveConv2DLoops(LiveLoops, Conv2DLoops):
    """CONV_2D."""

    operators = (LiveConv2D,)


class LiveDepthwiseConv2DLoops(LiveLoops, DepthwiseConv2DLoops):
    """DEPTHWISE_CONV_2D."""

    operators = (LiveDepthwiseConv2D,)


class LiveFullyConnectedLoops(LiveLoops, FullyConnectedLoops):
    """FULLY_CONNECTED."""

    operators = (LiveFullyConnected,)


class AdaptAffineLoops(Loops[AdaptAffine]):
    """Element by element."""

    operators = (AdaptAffine,)

    def constants(self, op: AdaptAffine) -> dict[str, Array]:
        return {} if op.shift is None or op.one_shift is not None else {"shift": op.shift}

    def walk(self, op: AdaptAffine, backward: bool = False) -> Walk | None:
        return broadcast(op.outputs[0].shape, [tensor.shape for tensor in op.inputs])


class AdaptKernelLoops(Loops[Kind]):
    """Channel by channel."""

    operators: ClassVar[Operators] = (AdaptKernel,)

    def constants(self, op: Kind) -> dict[str, Array]:
        return {"table": op.table}

    def walk(self, op: Kind, backward: bool = False) -> Walk | None:
        steps = np.arange(op.inputs[0].size).reshape(1, 1, -1)
        last = steps.size - 1 if op.reads_all else -1
        whole = (np.full((1, 1, tensor.size), last, np.int64) for tensor in op.inputs[2:])
        return Walk((steps, steps, *whole), (steps, steps))


class AdaptStatisticsLoops(AdaptKernelLoops[AdaptStatistics]):
    """Where the rank moves them, by factors of their own."""

    operators = (AdaptStatistics,)

    def constants(self, op: AdaptStatistics) -> dict[str, Array]:
        return super().constants(op) if op.up is None else {**super().constants(op), "up": op.up}


class AdaptRankLoops(Loops[AdaptRank]):
    """Three arrays."""

    operators = (AdaptRank,)

    def constants(self, op: AdaptRank) -> dict[str, Array]:
        return {"table": op.table, "down": op.down, "start": op.start}


class AdaptTrustLoops(Loops[AdaptTrust]):
    """A table of the channels."""

    operators = (AdaptTrust,)

    def constants(self, op: AdaptTrust) -> dict[str, Array]:
        return {"table": op.table}


class TensorStatisticsLoops(Loops[TensorStatistics]):
    """Both are cleared before the first pixel is read."""

    operators = (TensorStatistics,)

    def walk(self, op: TensorStatistics, backward: bool = False) -> Walk | None:
        height, width, channels = op.inputs[0].hwc
        cleared: Any = np.full((1, 1, channels), NEVER, np.int64)
        return Walk((row_major((height, width, channels)),), (cleared, cleared))
