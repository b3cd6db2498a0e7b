"""CONV_2D, two pixels by four filters at a time: each weight that is loaded serves two products, each value four.

Eight sums want registers that Armv6-M has not.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from driftc.boards.timing import Mix
from driftc.codegen.kernels.kernel import PLAIN, Changing, Kernel
from driftc.codegen.kernels.portable.default import PORTABLE
from driftc.codegen.kernels.walk import NEVER, Walk, visits
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

FILTERS = 4
LEAST = 8  # products of a sum; fewer are written out whole elsewhere
MOST_UNROLLED = 9  # products of each sum in a turn of the innermost loop
# Instructions on the emulated Cortex-M3 (gcc 12 -O2).
MAC, MAC_ALONE = 1.91, 2.5
RESULT = 10.0
PIXEL = 24.0
TAP, COPIED = 14.0, 0.8  # of windows that are copied: a tap of theirs, and a byte of it
CALL = 60.0


class Blocked(Kernel):
    """Weights lie tap by tap, four filters together; windows that reach over the border are copied, two as one."""

    name = "portable/blocked"
    mix = Mix.of(
        store=0.011, load=0.252, chained=0.147, accumulate=0.486, long=0.007, used=0.151, taken=0.008, pair=0.317
    )
    prefers = frozenset({"low-and-high-registers"})

    def serves(self, call: Call) -> bool:
        op = call.computed
        if not isinstance(op, Conv2D) or call.epilogue != "requantize" or call.reduce is not None or call.backward:
            return False
        if op.range[0] == op.range[1]:
            return False  # of a single value, the compiler knows better
        whole = call.channels.count == op.channels and op.channels % FILTERS == 0
        worth = prod(op.weights.shape[1:]) >= LEAST and _pixels(call) > 1
        return whole and worth and op.groups == 1 and op.dilation[1] == 1

    def template(self, call: Call) -> str:
        return "conv_2d/blocked.c.j2"

    def values(self, call: Call) -> dict[str, Any]:
        op = call.computed
        assert isinstance(op, Conv2D)
        rows, columns, depth = op.weights.shape[1:]
        return {
            "flat": _flat(call),
            "width": _pixels(call),
            "odd": _pixels(call) % 2 == 1,
            "filter": rows * columns * depth,
            "length": columns * depth,
            "unroll": max(n for n in range(1, MOST_UNROLLED + 1) if columns * depth % n == 0),
            "next": op.stride[1] * call.inputs[0].strides[1],  # bytes from a pixel's window to its neighbour's
            "taps": columns + op.stride[1],  # that the windows of two neighbours span
            "copied": _copied(call),
            "inside": _both_inside(op) if call.inputs[0].gapless else "",
        }

    def constants(self, operator: Operator) -> dict[str, Array]:
        assert isinstance(operator, Conv2D)
        found = PORTABLE.constants(operator)
        filters = found["weights"].reshape(operator.channels // FILTERS, FILTERS, -1)
        return found | {"weights": np.ascontiguousarray(filters.transpose(0, 2, 1))}

    def changing(self, operator: Operator) -> Changing | None:
        return PLAIN

    def scratch(self, call: Call) -> int:
        op = call.computed
        assert isinstance(op, Conv2D)
        rows, columns, depth = op.weights.shape[1:]
        return rows * (columns + op.stride[1]) * depth if _copied(call) else 0

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        """Both of a pair are read before either is written, in each pass over four filters.

        Pairs are those of each row, or of all rows in one line: what holds in both orders.
        """
        assert isinstance(operator, Conv2D)
        if backward:
            return None
        height, width, channels = operator.outputs[0].hwc
        pixels = np.arange(height * width).reshape(height, width)
        orders = [pixels - np.arange(width) % 2, *([pixels - pixels % 2] if _one_pixel(operator) else [])]
        start, end = np.minimum.reduce(orders), np.maximum.reduce(orders)
        _, last = visits(operator, False)
        passes = channels // FILTERS
        read = np.where(last == NEVER, NEVER, end.reshape(-1)[np.maximum(last, 0)] * passes + passes - 1)
        written = start[..., np.newaxis] * passes + np.arange(channels) // FILTERS
        return Walk((np.broadcast_to(read[..., np.newaxis], operator.inputs[0].hwc).astype(np.int64),), (written,))

    def cost(self, call: Call) -> float:
        op = call.computed
        assert isinstance(op, Conv2D)
        turns = 1 if _flat(call) else call.rows.count
        twos, ones = turns * (_pixels(call) // 2), turns * (_pixels(call) % 2)
        macs = op.channels * prod(op.weights.shape[1:])
        rows, columns, depth = op.weights.shape[1:]
        inside = _inside(op) if call.inputs[0].gapless else 0.0
        copied = (1 - inside) * rows * (columns + op.stride[1]) * (TAP + COPIED * depth) if _copied(call) else 0.0
        results = (2 * twos + ones) * op.channels * RESULT
        return CALL + results + twos * (2 * macs * MAC + PIXEL + copied) + ones * (macs * MAC_ALONE + PIXEL + copied)


def _both_inside(op: Conv2D) -> str:
    """The C condition that the windows of pixels x and x + 1 of row y lie in the input."""
    (top, bottom), (first, last) = op.interior(0), op.interior(1)
    height = op.outputs[0].hwc[0]
    terms = [f"y >= {top}"] * (top > 0) + [f"y < {bottom}"] * (bottom < height) + [f"x >= {first}"] * (first > 0)
    return " && ".join([*terms, f"x + 1 < {last}"])


def _inside(op: Conv2D) -> float:
    """The share of the pairs whose windows do."""
    height, width, _ = op.outputs[0].hwc
    (top, bottom), (first, last) = op.interior(0), op.interior(1)
    return max(last // 2 - -(-first // 2), 0) / -(-width // 2) * max(bottom - top, 0) / height


def _one_pixel(op: Conv2D) -> bool:
    """Each pixel of the output comes from the same pixel of the input."""
    return op.kernel == (1, 1) and op.stride == (1, 1) and not op.reads_padding


def _flat(call: Call) -> bool:
    """All pixels of all rows are one line."""
    op, height = call.computed, call.outputs[0].shape[0]
    dense = all(buffer.dense for buffer in (*call.inputs, *call.outputs))
    every = call.rows.count == height and call.rows.start.literal == 0
    return isinstance(op, Conv2D) and _one_pixel(op) and dense and every


def _pixels(call: Call) -> int:
    """That are computed one after the other, by twos."""
    height, width, _ = call.outputs[0].shape
    return height * width if _flat(call) else width


def _copied(call: Call) -> bool:
    """Some windows are: those that reach over the border, all where pixels do not follow each other."""
    op = call.computed
    assert isinstance(op, Conv2D)
    return op.reads_padding or not call.inputs[0].gapless
