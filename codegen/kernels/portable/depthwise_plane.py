"""DEPTHWISE_CONV_2D, a channel at a time from a plane with its border: two outputs share values and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from driftc.boards.timing import Mix
from driftc.codegen.kernels.kernel import PLAIN, Changing, Kernel
from driftc.codegen.kernels.planes import plane_rows, plane_walk, plane_width, strip_of
from driftc.codegen.kernels.portable.default import PORTABLE
from driftc.codegen.kernels.walk import Walk
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

PLANE = 1024  # bytes that a plane should not exceed: else its rows are made and used some at a time
MOST_TAPS = 16  # that are written out
# Instructions on the emulated Cortex-M3 (gcc 12 -O2).
COPIED, ROW = 3.0, 2.7  # a value of the plane, and a row of it
TAP, ALONE = 2.7, 0.8  # a product, and what one more takes where it shares with no neighbour
TAP_LOOPED, RESULT_LOOPED, LOOP = 2.16, 9.0, 4.8  # the same of windows that are not written out, and a row of one
RESULT, ALONG = 5.5, 3.0  # and what one takes more in maps of one pixel a row
CHANNEL, CALL = 55.0, 100.0


class DepthwisePlane(Kernel):
    """Row i of the plane is row i - top of the input; what lies outside is filled once."""

    name = "portable/depthwise_plane"
    mix = Mix.of(
        store=0.057, load=0.251, chained=0.115, accumulate=0.272, long=0.03, used=0.143, taken=0.024, pair=0.262
    )
    prefers = frozenset({"low-and-high-registers"})

    def serves(self, call: Call) -> bool:
        op = call.computed
        if not isinstance(op, DepthwiseConv2D) or call.epilogue != "requantize" or call.backward:
            return False
        if op.range[0] == op.range[1]:
            return False  # of a single value, the compiler knows better
        between = op.multiplicity == 1 or call.channels.count == op.channels
        return between and (call.rows.count == 1 or call.outputs[0].whole_rows)

    def template(self, call: Call) -> str:
        return "depthwise_conv_2d/plane.c.j2"

    def values(self, call: Call) -> dict[str, Any]:
        op, y = call.computed, call.outputs[0]
        assert isinstance(op, DepthwiseConv2D)
        rows, width = call.rows.count, plane_width(op)
        strip = _strip(op, rows)
        across = rows == 1  # neighbours are in a row; else above each other
        step = op.stride[1] if across else op.stride[0] * width
        return {
            "width": width,
            "rows": plane_rows(op, strip),
            "known": max(plane_rows(op, 1) - op.stride[0], 0),  # rows that strips share
            "strip": strip,
            "strips": -(-rows // strip),
            "taps": op.kernel[0] * op.kernel[1],
            "written": op.kernel[0] * op.kernel[1] <= MOST_TAPS,
            "outer": y.shape[1] if across else strip,
            "inner": 1 if across else y.shape[1],
            "next": step,  # bytes of the plane, and of the output, to the second of two neighbours
            "next_pixel": y.strides[1] if across else y.strides[0],
            "two": _reads(op, width, step),
            "one": _reads(op, width, None),
        }

    def constants(self, operator: Operator) -> dict[str, Array]:
        """`weights` [channels, kernel rows, kernel pixels]."""
        assert isinstance(operator, DepthwiseConv2D)
        found = PORTABLE.constants(operator)
        return found | {"weights": np.ascontiguousarray(found["weights"][0].transpose(2, 0, 1))}

    def changing(self, operator: Operator) -> Changing | None:
        return PLAIN

    def scratch(self, call: Call) -> int:
        op = call.computed
        assert isinstance(op, DepthwiseConv2D)
        return plane_rows(op, _strip(op, call.rows.count)) * plane_width(op)

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        assert isinstance(operator, DepthwiseConv2D)
        return None if backward else plane_walk(operator, _strip(operator, operator.outputs[0].hwc[0]))

    def cost(self, call: Call) -> float:
        op = call.computed
        assert isinstance(op, DepthwiseConv2D)
        rows, width = call.rows.count, call.outputs[0].shape[1]
        taps = op.kernel[0] * op.kernel[1]
        copied = plane_rows(op, rows) * (call.inputs[0].shape[1] * COPIED + ROW) / op.multiplicity
        odd = (width if rows > 1 else 1) * ((rows if rows > 1 else width) % 2)
        alone = ALONE if op.stride[0 if rows > 1 else 1] >= op.kernel[0 if rows > 1 else 1] else 0.0
        each = RESULT + taps * (TAP + alone) + (ALONG if width == 1 else 0.0)
        if taps > MOST_TAPS:
            each = RESULT_LOOPED + taps * TAP_LOOPED + op.kernel[0] * LOOP
        return CALL + call.channels.count * (CHANNEL + copied + rows * width * each + odd * taps * ALONE)


def _strip(op: DepthwiseConv2D, rows: int) -> int:
    return strip_of(op, rows, PLANE // plane_width(op))


def _reads(op: DepthwiseConv2D, width: int, step: int | None) -> list[list[tuple[int, int | None, int | None]]]:
    """Of each row of the plane the offsets read, and the tap that each is for an output, and for its neighbour."""
    taps = {
        ky * op.dilation[0] * width + kx * op.dilation[1]: ky * op.kernel[1] + kx
        for ky in range(op.kernel[0])
        for kx in range(op.kernel[1])
    }
    second = {} if step is None else {offset + step: tap for offset, tap in taps.items()}
    rows: dict[int, list[tuple[int, int | None, int | None]]] = {}
    for offset in sorted({*taps, *second}):
        rows.setdefault(offset // width, []).append((offset, taps.get(offset), second.get(offset)))
    return list(rows.values())
