"""Depthwise 3x3 at stride 1: a channel at a time, widened to a plane with its border, two outputs a turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from driftc.boards.timing import Mix
from driftc.codegen.kernels.depthwise import plain
from driftc.codegen.kernels.dsp.scales import scales_of
from driftc.codegen.kernels.kernel import Changing, Kernel, Shared
from driftc.codegen.kernels.planes import plane_walk
from driftc.codegen.kernels.walk import Walk
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

PLANE = 1024  # bytes that a plane should not exceed: else its rows are made and used some at a time
INLINE = 8  # pixels of a row that are widened where they are
WIDEST = 250  # halfwords in a row, which the functions reach with an immediate offset
# Instructions on the emulated Cortex-M4 (gcc 12 -O2): a result, and of a channel a value widened and a row of them.
RESULT, WIDENED, ROW, CHANNEL = 15.4, 1.9, 8.0, 80.0
FILLED, CALL = 3.0, 55.0  # a halfword of the plane
MADE = Mix.of(
    double=0.12, store=0.077, load=0.112, chained=0.038, accumulate=0.393, used=0.048, taken=0.024, pair=0.178
)
CHANNELS = Mix.of(
    multiple=0.05,
    register=0.31,
    double=0.031,
    store=0.107,
    load=0.148,
    chained=0.129,
    used=0.006,
    taken=0.076,
    pair=0.288,
)


class DepthwisePlane(Kernel):
    """Row y of the plane is row y - top of the input; rows of the plane are even numbers of halfwords."""

    name = "dsp/depthwise_plane"
    needs = frozenset({"dsp"})
    header = "driftc_dsp.h"

    def serves(self, call: Call) -> bool:
        op, y = call.computed, call.outputs[0]
        if not (isinstance(op, DepthwiseConv2D) and plain(call) and scales_of(op) is not None):
            return False
        near = op.kernel == (3, 3) and op.stride == (1, 1) == op.dilation
        gapless = call.rows.count == 1 or (y.whole_rows and y.strides[0] == y.shape[1] * y.strides[1])
        between = op.multiplicity == 1 or call.channels.count == op.channels
        return near and gapless and between and self._width(op) <= WIDEST and not call.backward

    def template(self, call: Call) -> str:
        return "dsp/depthwise_plane.c.j2"

    def shared(self, call: Call) -> tuple[Shared, ...]:
        op = call.computed
        assert isinstance(op, DepthwiseConv2D)
        scales = scales_of(op)
        assert scales is not None
        about = {
            "width": op.outputs[0].hwc[1],
            "stride": self._width(op),
            "signed": scales.signed,
            "low": scales.low if scales.low > -128 else None,
            "high": scales.high if scales.high < 127 else None,
        }
        width, step = call.inputs[0].shape[1], call.inputs[0].strides[1]
        line = (Shared(self._line(call), "dsp/depthwise_line.c.j2", {"width": width, "step": step}),)
        shared = Shared("driftc_window", "dsp/window.c.j2"), Shared(self._rows(op), "dsp/depthwise_rows.c.j2", about)
        return (*(line if self._line(call) else ()), *shared)

    def constants(self, operator: Operator) -> dict[str, Array]:
        """`windows` [channels, 3, 3], and the scales."""
        assert isinstance(operator, DepthwiseConv2D) and operator.weights.data is not None
        scales = scales_of(operator)
        assert scales is not None
        weights = np.where(scales.idle, 0, operator.weights.data[0]).astype(np.int8)  # [3, 3, channels]
        return {"windows": np.ascontiguousarray(weights.transpose(2, 0, 1))} | scales.constants()

    def changing(self, operator: Operator) -> Changing | None:
        return Changing("pairs", ("scales", "shifts"))

    def scratch(self, call: Call) -> int:
        op = call.computed
        assert isinstance(op, DepthwiseConv2D)
        return (self._strip(op, call.rows.count) + 2) * self._width(op) * 2

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        assert isinstance(operator, DepthwiseConv2D)
        return None if backward else plane_walk(operator, self._strip(operator, operator.outputs[0].hwc[0]))

    def values(self, call: Call) -> dict[str, Any]:
        op = call.computed
        assert isinstance(op, DepthwiseConv2D)
        scales = scales_of(op)
        assert scales is not None
        strip = self._strip(op, call.rows.count)
        return {
            "stride": self._width(op),
            "strip": strip,
            "strips": -(-call.rows.count // strip),
            "multiplicity": op.multiplicity,
            "zero": 2 * scales.zero + 1,
            "line": self._line(call),
            "rows": self._rows(op),
        }

    def cost(self, call: Call) -> float:
        return sum(self.kinds(call).values())

    def kinds(self, call: Call) -> dict[Mix, float]:
        op, x = call.computed, call.inputs[0]
        assert isinstance(op, DepthwiseConv2D)
        rows, width, channels = call.rows.count, call.outputs[0].shape[1], call.channels.count
        plane = min(rows + 2, x.shape[0]) * (x.shape[1] * WIDENED + ROW) / op.multiplicity
        strips = -(-rows // self._strip(op, rows))
        around = CALL + FILLED * self.scratch(call) / 2
        around += channels * (CHANNEL + (strips - 1) * (40 + 4 * self._width(op)))
        return {MADE: channels * (rows * width * RESULT + plane), CHANNELS: around}

    def _width(self, op: DepthwiseConv2D) -> int:
        """Halfwords in a row of the plane."""
        return (op.outputs[0].hwc[1] + 3) // 2 * 2

    def _strip(self, op: DepthwiseConv2D, rows: int) -> int:
        """Rows of the output that are made from one plane."""
        most = max(PLANE // (2 * self._width(op)) - 2, 2)
        return -(-rows // -(-rows // most))

    def _line(self, call: Call) -> str:
        """The function that widens a row, where that is not short."""
        _, width, _ = call.inputs[0].shape
        return f"driftc_widen_{width}_every_{call.inputs[0].strides[1]}" if width > INLINE else ""

    def _rows(self, op: DepthwiseConv2D) -> str:
        scales = scales_of(op)
        assert scales is not None
        marks = ["signed"] if scales.signed else []
        if scales.clamped:
            marks += [f"{'minus' if edge < 0 else ''}{abs(edge)}" for edge in (scales.low, scales.high)]
        return "_".join(["driftc_depthwise_3x3", str(op.outputs[0].hwc[1]), *marks])
