"""About how many instructions a portable kernel takes on a Cortex-M4, so that dear plans can be told from cheap ones.

Fitted to the counts of the emulated core (portable kernels, gcc 12 -O2) on 287 layers of eleven published models and
the shapes of benchmarks/kernels, of which nine in ten are within 15 %. What is reported as measured is always counted,
never taken from here.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.learn.meta import PoolSums
from driftc.codegen.operators.movement.move import Move, Nest
from driftc.codegen.operators.movement.row_input import RowInput
from driftc.codegen.operators.reduction.mean import Mean
from driftc.codegen.operators.reduction.pool import Pool
from driftc.codegen.operators.windowed import Windowed

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

MAC = 2.55  # convolution and dense, besides what follows
ODD = {2: 0.1, 1: 0.6}  # more, by what divides the input channels besides: two or three, or neither
ADDED = 2.6  # a value of POOL_SUMS
REST, REST_LOOPED = 0.2, 0.6  # more, of filters that are no four; and in a loop
SHORT, SHORT_RESULT, SHORT_PIXEL = 1.5, 13.0, 5.0  # 1x1 over up to four channels, which compilers write out
SMALL = 2.0  # of up to four taps by up to four channels
WRITTEN_OUT = 16  # taps at most
TAP, TAP_REST, TAP_LOOPED = 8.0, 2.0, 8.0  # of four filters, of the rest of them, and more of either in a loop
MAC_DEPTHWISE, RESULT_DEPTHWISE, BORDER_DEPTHWISE = 3.8, 10.0, 18.0
MAC_LOOPED, TAP_DEPTHWISE = 7.4, 12.7  # of windows that are not written out, and of a tap of all channels
RESULT = 11.0  # start of a sum, requantising and storing it
SUM = 18.0  # the same where the sum is loaded from and stored to int32
PIXEL = 20.0
COPIED = 0.5  # a byte
RUN = 6.0  # of bytes, besides these
ALONE = 5.0  # an element that is copied by itself
POOLED = 9.0  # a point of a window
SIMPLE = 29.0  # an element of anything else
PRODUCT = 15.0  # an element of MUL
ROW = 12.0
CALL = 40.0


def portable(call: Call) -> float:
    """One execution of `call`."""
    operator = call.computed
    height, width, channels = call.outputs[0].shape
    results = call.rows.count * width * call.channels.count
    share = results / (height * width * channels)
    fixed = CALL + ROW * call.rows.count
    if isinstance(operator, RowInput):
        return fixed + results * COPIED
    if isinstance(operator, Weighted):
        depthwise = operator.kind == "DEPTHWISE_CONV_2D"
        depth = operator.inputs[0].hwc[2]
        part = call.reduce.count / depth if call.reduce else 1.0
        macs = operator.macs * share * part
        pixels = call.rows.count * width
        if depthwise:
            return fixed + _depthwise(operator, pixels, macs) + results * RESULT_DEPTHWISE
        each = SUM if call.epilogue == "accumulate" else RESULT
        return fixed + _sums(operator, pixels, call.channels.count, macs, results * each)
    if isinstance(operator, Move):
        item = call.outputs[0].dtype.itemsize
        return fixed + share * sum(_moved(nest, item) for nest in operator.nests())
    if isinstance(operator, Pool | Windowed):
        window = (call.reduce.count if call.reduce else operator.kernel[0]) * operator.kernel[1]
        return fixed + results * (POOLED * window + RESULT)
    if isinstance(operator, Mean):
        part = call.reduce.count / operator.inputs[0].hwc[0] if call.reduce else 1.0
        return fixed + operator.inputs[0].size * share * part * 10 + results * RESULT
    if isinstance(operator, PoolSums):
        return fixed + operator.inputs[0].size * ADDED + results * SIMPLE
    if isinstance(operator, Mul):
        return fixed + results * PRODUCT
    return fixed + operator.macs * share * MAC + results * SIMPLE


def _depthwise(operator: Weighted, pixels: int, macs: float) -> float:
    """The sums of a depthwise convolution."""
    assert isinstance(operator, Windowed)
    taps = operator.kernel[0] * operator.kernel[1]
    if taps > WRITTEN_OUT:
        return macs * MAC_LOOPED + pixels * taps * TAP_DEPTHWISE
    height, width, _ = operator.outputs[0].hwc
    (top, bottom), (left, right) = operator.interior(0), operator.interior(1)
    border = 1 - (bottom - top) * (right - left) / (height * width)
    return macs * MAC_DEPTHWISE + pixels * (PIXEL / 2 + border * taps * BORDER_DEPTHWISE)


def _sums(operator: Weighted, pixels: int, filters: int, macs: float, finished: float) -> float:
    """The sums of another convolution or a dense layer, and what finishing them takes."""
    taps = operator.kernel[0] * operator.kernel[1] if isinstance(operator, Windowed) else 1
    depth = operator.weights.shape[-1]
    if isinstance(operator, Windowed) and taps == 1 and depth <= 4:
        return macs * SHORT + pixels * (filters * SHORT_RESULT + SHORT_PIXEL)
    each = MAC + (0.0 if depth % 4 == 0 else ODD[2] if depth % 2 == 0 or depth % 3 == 0 else ODD[1])
    rest = filters % 4
    more = REST_LOOPED if taps > WRITTEN_OUT or taps == 1 else REST
    each = SMALL if 1 < taps <= 4 and depth <= 4 else each + more * rest / filters
    total = finished + macs * each + pixels * PIXEL
    if taps > 1:
        looped = TAP_LOOPED if taps > WRITTEN_OUT else 0.0
        total += pixels * taps * (filters // 4 * (TAP + looped) + (rest > 0) * (TAP_REST + looped))
    return total


def _moved(nest: Nest, item: int) -> float:
    """The copies of elements of `item` bytes."""
    turns = prod(loop.count for loop in nest.outer)
    if nest.spread > 1 or nest.at_once(item) > 1:
        return turns * (RUN + COPIED * item * max(nest.spread, nest.run))
    return turns * ALONE * nest.run
