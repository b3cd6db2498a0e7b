"""Convolutions and dense layers."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np

from driftc.boards.timing import Mix
from driftc.codegen.kernels.portable.loops import MAC, RESULT, Loops, Operators, results_of, share_of
from driftc.codegen.kernels.walk import NEVER, Steps, Walk, visits
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.convolution.transpose_conv import TransposeConv
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.operators.windowed import Windowed
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

Layer = TypeVar("Layer", bound=Weighted)

FILTERS_AT_ONCE = 4  # output channels that one pass over a window computes: templates/lib.c.j2, filters

# Instructions.
ODD = {2: 0.1, 1: 0.6}  # of a MAC more, by what divides the input channels besides: two or three, or neither
REST, REST_LOOPED = 0.2, 0.6  # more, of filters that are no four; and in a loop
SHORT, SHORT_RESULT, SHORT_PIXEL = 1.5, 13.0, 5.0  # 1x1 over up to four channels, which compilers write out
SMALL = 2.0  # of up to four taps by up to four channels
WRITTEN_OUT = 16  # taps at most
TAP, TAP_REST, TAP_LOOPED = 8.0, 2.0, 8.0  # of four filters, of the rest of them, and more of either in a loop
MAC_DEPTHWISE, RESULT_DEPTHWISE, RESULT_SEVERAL = 3.04, 12.9, 2.8  # the last of several filters a channel, more
PIXEL_DEPTHWISE, BORDER_TAP = 10.6, 19.7
POINTERS, BORDER_POINTER = 4, 1.72  # of taps that have registers; what a product at the border takes more of others
MAC_ONE, ONE = 2.25, 108.0  # of an output of one pixel, of which the compiler knows what lies outside
MAC_LOOPED, TAP_LOOPED_DEPTHWISE, RESULT_LOOPED = 6.73, 13.2, 27.7  # of windows that are not written out
LOOPED_DEPTHWISE = Mix.of(store=0.016, load=0.237, chained=0.118, accumulate=0.11, used=0.112, taken=0.125, pair=0.306)
# Of groups: a product by the input channels of one (fours and more, and fewer), a pixel of one, four filters' tap.
GROUPED, GROUPED_FEW, GROUP, GROUP_TAP = 2.7, 3.8, 5.0, 0.4
SUM = 18.0  # a result where the sum is loaded from and stored to int32
PIXEL = 20.0


class WeightedLoops(Loops[Layer]):
    """Filters lie one behind the other."""

    operators: ClassVar[Operators] = (Weighted,)
    mix = Mix.of(load=0.285, chained=0.154, accumulate=0.336, long=0.005, used=0.13, taken=0.04, pair=0.38)

    def constants(self, op: Layer) -> dict[str, Array]:
        """`weights` and `bias`, and of the scales what differs from channel to channel."""
        assert op.weights.data is not None
        found: dict[str, Array] = {"weights": op.weights.data, "bias": op.folded_bias.astype(np.int32)}
        return found | {key: data for key, data in op.scale_constants().items() if op.updatable or np.ptp(data) > 0}

    def work(self, op: Layer, call: Call) -> float:
        macs, filters = macs_of(op, call), call.channels.count
        pixels = call.rows.count * call.outputs[0].shape[1]
        taps = op.kernel[0] * op.kernel[1] if isinstance(op, Windowed) else 1
        depth = op.weights.shape[-1]
        if isinstance(op, Windowed) and taps == 1 and depth <= 4:
            return macs * SHORT + pixels * (filters * SHORT_RESULT + SHORT_PIXEL)
        each = MAC + (0.0 if depth % 4 == 0 else ODD[2] if depth % 2 == 0 or depth % 3 == 0 else ODD[1])
        rest = filters % 4
        more = REST_LOOPED if taps > WRITTEN_OUT or taps == 1 else REST
        each = SMALL if 1 < taps <= 4 and depth <= 4 else each + more * rest / filters
        finished = results_of(call) * (SUM if call.epilogue == "accumulate" else RESULT)
        total = finished + macs * each + pixels * PIXEL
        if taps > 1:
            looped = TAP_LOOPED if taps > WRITTEN_OUT else 0.0
            total += pixels * taps * (filters // 4 * (TAP + looped) + (rest > 0) * (TAP_REST + looped))
        return total


class Conv2DLoops(WeightedLoops[Conv2D]):
    """Pixel by pixel, a few filters at a time, each pass over the whole window of its group of channels."""

    operators = (Conv2D,)

    def walk(self, op: Conv2D, backward: bool = False) -> Walk | None:
        computed, last = visits(op, backward)
        share, channels = op.channels // op.groups, np.arange(op.channels)
        at_once = FILTERS_AT_ONCE if op.groups == 1 else gcd(share, FILTERS_AT_ONCE)
        passes = channels // at_once
        group = np.arange(op.inputs[0].shape[3]) // op.weights.shape[3]
        final = passes[(group + 1) * share - 1]
        read = np.where(last[..., None] == NEVER, NEVER, last[..., None] * (passes[-1] + 1) + final)
        return Walk((read,), (computed[..., None] * (passes[-1] + 1) + passes,))

    def reverses(self, op: Conv2D) -> bool:
        return True

    def work(self, op: Conv2D, call: Call) -> float:
        if op.groups == 1:
            return super().work(op, call)
        taps, pixels = op.kernel[0] * op.kernel[1], call.rows.count * call.outputs[0].shape[1]
        each = GROUPED if op.weights.shape[3] >= FILTERS_AT_ONCE or taps == 1 else GROUPED_FEW
        fours = op.groups * (op.channels // op.groups // FILTERS_AT_ONCE)
        around = pixels * (op.groups * GROUP + taps * fours * GROUP_TAP)
        return macs_of(op, call) * each + results_of(call) * RESULT + around


class FullyConnectedLoops(WeightedLoops[FullyConnected]):
    """Row by row of `weights.shape[1]` inputs, a few filters at a time, each pass over the whole row."""

    operators = (FullyConnected,)

    def walk(self, op: FullyConnected, backward: bool = False) -> Walk | None:
        passes = np.arange(op.channels) // FILTERS_AT_ONCE
        count = int(passes[-1]) + 1
        x, y = op.inputs[0], op.outputs[0]
        read = np.arange(x.size) // op.weights.shape[1] * count + count - 1
        return Walk((read.reshape(x.hwc),), ((np.arange(op.rows)[:, None] * count + passes).reshape(y.hwc),))


class DepthwiseConv2DLoops(WeightedLoops[DepthwiseConv2D]):
    """Pixel by pixel, output channel by output channel."""

    operators = (DepthwiseConv2D,)
    mix = Mix.of(
        store=0.039, load=0.227, chained=0.224, accumulate=0.134, long=0.031, used=0.122, taken=0.04, pair=0.27
    )

    def walk(self, op: DepthwiseConv2D, backward: bool = False) -> Walk | None:
        computed, last = visits(op, backward)
        channels = np.arange(op.channels)
        final = channels[op.multiplicity - 1 :: op.multiplicity]
        read = np.where(last[..., None] == NEVER, NEVER, last[..., None] * op.channels + final)
        return Walk((read,), (computed[..., None] * op.channels + channels,))

    def reverses(self, op: DepthwiseConv2D) -> bool:
        return True

    def mix_of(self, call: Call) -> Mix:
        op = call.computed
        assert isinstance(op, DepthwiseConv2D)
        return self.mix if op.kernel[0] * op.kernel[1] <= WRITTEN_OUT else LOOPED_DEPTHWISE

    def work(self, op: DepthwiseConv2D, call: Call) -> float:
        taps, results = op.kernel[0] * op.kernel[1], results_of(call)
        macs, pixels = macs_of(op, call), call.rows.count * call.outputs[0].shape[1]
        if taps > WRITTEN_OUT:
            return macs * MAC_LOOPED + pixels * taps * TAP_LOOPED_DEPTHWISE + results * RESULT_LOOPED
        finished = results * (RESULT_DEPTHWISE + RESULT_SEVERAL * (op.multiplicity > 1))
        height, width, _ = op.outputs[0].hwc
        (top, bottom), (left, right) = op.interior(0), op.interior(1)
        border = 1 - (bottom - top) * (right - left) / (height * width)
        if border and height == width == 1:
            return macs * MAC_ONE + finished + ONE
        found = taps * pixels * BORDER_TAP + max(taps - POINTERS, 0) * results * BORDER_POINTER
        return macs * MAC_DEPTHWISE + finished + pixels * PIXEL_DEPTHWISE + border * found


class TransposeConvLoops(WeightedLoops[TransposeConv]):
    """Pixel by pixel, a few filters at a time, each pass over all of its taps."""

    operators = (TransposeConv,)

    def constants(self, op: TransposeConv) -> dict[str, Array]:
        """`bias` by phase, and the pixel `outside`, besides."""
        zero = np.full(op.weights.shape[3], op.inputs[0].zero_point, np.int8)
        return super().constants(op) | {"bias": op.phased_bias.astype(np.int32), "outside": zero}

    def walk(self, op: TransposeConv, backward: bool = False) -> Walk | None:
        height, width = op.size
        row, pixel = _last_tap(op, 0), _last_tap(op, 1)
        last = row[:, None] * width + pixel[None, :]
        last[(row == NEVER)[:, None] | (pixel == NEVER)[None, :]] = NEVER
        passes = np.arange(op.channels) // FILTERS_AT_ONCE
        each = int(passes[-1]) + 1
        read = np.where(last == NEVER, NEVER, last * each + each - 1)
        order = np.arange(height * width).reshape(height, width, 1)
        depth = op.inputs[0].shape[3]
        return Walk((np.repeat(read[..., None], depth, axis=2),), (order * each + passes,))


def macs_of(op: Weighted, call: Call) -> float:
    """Of `call`, a part of `op` perhaps."""
    return op.macs * share_of(call) * (call.reduce.count / op.inputs[0].hwc[2] if call.reduce else 1.0)


def _last_tap(op: TransposeConv, axis: int) -> Steps:
    """For each input row (axis 0) or pixel (axis 1): the last of the output that it reaches."""
    first = np.arange(op.inputs[0].hwc[axis]) * op.stride[axis] - op.padding[axis]
    last = np.minimum(first + op.kernel[axis], op.size[axis]) - 1
    return np.where(last >= np.maximum(first, 0), last, NEVER)
