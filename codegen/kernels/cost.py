"""About how many instructions a portable kernel takes on a Cortex-M4, so that dear plans can be told from cheap ones.

Fitted to the counts of the emulated core (portable kernels, gcc 12 -O2) on 287 layers of eleven published models, of
which nine in ten are within 10 %. What is reported as measured is always counted, never taken from here.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.movement.move import Move, Nest
from driftc.codegen.operators.movement.row_input import RowInput
from driftc.codegen.operators.reduction.mean import Mean
from driftc.codegen.operators.reduction.pool import Pool
from driftc.codegen.operators.windowed import Windowed

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

MAC = 2.55  # convolution and dense, besides what follows
MAC_DEPTHWISE, RESULT_DEPTHWISE = 4.1, 10.0
RESULT = 10.0  # start of a sum, requantising and storing it
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
        if depthwise:
            return fixed + macs * MAC_DEPTHWISE + results * RESULT_DEPTHWISE
        each = SUM if call.epilogue == "accumulate" else RESULT
        return fixed + macs * MAC + results * each + call.rows.count * width * PIXEL
    if isinstance(operator, Move):
        item = call.outputs[0].dtype.itemsize
        return fixed + share * sum(_moved(nest, item) for nest in operator.nests())
    if isinstance(operator, Pool | Windowed):
        window = (call.reduce.count if call.reduce else operator.kernel[0]) * operator.kernel[1]
        return fixed + results * (POOLED * window + RESULT)
    if isinstance(operator, Mean):
        part = call.reduce.count / operator.inputs[0].hwc[0] if call.reduce else 1.0
        return fixed + operator.inputs[0].size * share * part * 10 + results * RESULT
    if isinstance(operator, Mul):
        return fixed + results * PRODUCT
    return fixed + operator.macs * share * MAC + results * SIMPLE


def _moved(nest: Nest, item: int) -> float:
    """The copies of elements of `item` bytes."""
    turns = prod(loop.count for loop in nest.outer)
    if nest.spread > 1 or nest.at_once(item) > 1:
        return turns * (RUN + COPIED * item * max(nest.spread, nest.run))
    return turns * ALONE * nest.run
