"""Convolution in little RAM: the window of a pixel is gathered as it is, and the matrix function widens it itself."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from driftc.codegen.kernels.dsp.matrix import Matrix
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.conv_2d import Conv2D

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

# Instructions on the emulated Cortex-M4 (gcc 12 -O2): a byte of a window, a tap of it, a pixel.
COPIED, TAP, PIXEL = 0.7, 14.0, 20.0
FEWEST = 16  # channels: of fewer the estimates cannot tell it from dsp/convolution


class ConvolutionGathered(Matrix):
    """A byte of scratch for each input of a sum, where dsp/convolution has four for twice as many sums at a time."""

    name = "dsp/convolution_gathered"
    raw = True
    parts = False

    def serves(self, call: Call) -> bool:
        op = call.computed
        if not (isinstance(op, Conv2D) and op.groups == 1 and call.channels.count >= FEWEST and self.finishes(call)):
            return False
        return op.weights.shape[3] % 4 == 0 and prod(op.weights.shape[1:]) % 8 == 0

    def template(self, call: Call) -> str:
        return "dsp/convolution_gathered.c.j2"

    def runs(self, op: Operator) -> tuple[int, ...]:
        assert isinstance(op, Conv2D)
        return (prod(op.weights.shape[1:]),)

    def odd(self, call: Call) -> bool:
        return True

    def paired(self, call: Call) -> bool:
        return False

    def scratch(self, call: Call) -> int:
        return self.runs(call.operator)[0]

    def values(self, call: Call) -> dict[str, Any]:
        op = call.computed
        assert isinstance(op, Conv2D)
        rows, taps = op.kernel
        return super().values(call) | {
            "inputs": "window",
            "rows": rows,
            "taps": taps,
            "depth": op.weights.shape[3],
            "stride": op.stride,
            "dilation": op.dilation,
            "top": op.padding[0],
            "left": op.padding[2],
            "outside": op.reads_padding,
        }

    def cost(self, call: Call) -> float:
        op = call.computed
        assert isinstance(op, Conv2D)
        pixels, run = call.rows.count * call.outputs[0].shape[1], self.runs(call.operator)[0]
        gathered = COPIED * run + TAP * prod(op.kernel) + PIXEL
        return self.matrix_cost(call, 0, pixels, ()) + pixels * gathered
