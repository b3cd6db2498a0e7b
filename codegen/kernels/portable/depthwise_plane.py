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
# Instructions on the emulated Cortex-M4 (gcc 12 -O2).
FILLED, COPIED, ROW = 1.6, 2.2, 5.0  # a byte of the plane, and of each channel a value and a row of it
TAP, LOADED, RESULT, TURN = 0.9, 1.8, 8.8, 5.4  # a product, a load, a result, and two of them or a row of two
REGISTERS, SPILLED, FURTHER = (
    8,
    2.8,
    0.75,
)  # of weights; what the first product of others takes more, and each further one
TAP_LOOPED, LOOP = 2.08, 7.2  # a product of windows that are not written out, and a row of one
CHANNEL, CHANNEL_LOOPED, CALL = 8.0, 70.0, 115.0
AMPLE = 0.83  # of that on cores with 32 registers (RV32IMC), beside what their portable loops take more
# What they are: of planes and channels, of results whose weights have registers or lack some, and of those of windows
# that are not written out.
LOADING = Mix.of(
    multiple=0.016, register=0.121, store=0.016, load=0.307, chained=0.305, used=0.067, taken=0.094, pair=0.318
)
KEPT = Mix.of(store=0.057, load=0.12, chained=0.034, accumulate=0.171, long=0.061, used=0.058, taken=0.033, pair=0.241)
LACKING = Mix.of(
    register=0.026,
    store=0.034,
    load=0.227,
    chained=0.151,
    accumulate=0.274,
    long=0.03,
    used=0.132,
    taken=0.017,
    pair=0.226,
)
LOOPED = Mix.of(store=0.01, load=0.312, chained=0.16, accumulate=0.29, long=0.01, used=0.231, taken=0.027, pair=0.394)


class DepthwisePlane(Kernel):
    """Row i of the plane is row i - top of the input; what lies outside is filled once."""

    name = "portable/depthwise_plane"
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
        return sum(self.kinds(call).values())

    def kinds(self, call: Call) -> dict[Mix, float]:
        op, y = call.computed, call.outputs[0]
        assert isinstance(op, DepthwiseConv2D)
        rows, width, taps = call.rows.count, y.shape[1], op.kernel[0] * op.kernel[1]
        share = AMPLE if self.core and "32-registers" in self.core.features else 1.0
        axis = 0 if rows > 1 else 1  # along which lie two neighbours
        along, across = (rows, width) if rows > 1 else (width, 1)
        loaded, (height, pixels, _) = plane_rows(op, rows), call.inputs[0].shape
        copied = (min(loaded, height) * pixels * COPIED + loaded * ROW) / op.multiplicity
        loading = CALL + FILLED * self.scratch(call) + call.channels.count * copied
        if taps > MOST_TAPS:
            each = along * across * (taps * TAP_LOOPED + op.kernel[0] * LOOP)
            return {LOADING: share * loading, LOOPED: share * call.channels.count * (CHANNEL_LOOPED + each)}
        both = along // 2 * (op.kernel[axis] + min(op.stride[axis], op.kernel[axis])) * op.kernel[1 - axis]
        loads = across * (both + along % 2 * taps)
        lacking = taps - REGISTERS
        each = RESULT + taps * TAP + (SPILLED + (lacking - 1) * FURTHER if lacking > 0 else 0.0)
        made = along * across * each + loads * LOADED + -(-along // 2) * TURN
        mix = KEPT if taps <= REGISTERS else LACKING
        return {LOADING: share * loading, mix: share * call.channels.count * (CHANNEL + made)}


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
