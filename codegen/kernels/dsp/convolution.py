"""Convolution: the windows of two pixels are gathered and widened, then summed by the matrix functions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from driftc.boards.timing import Mix
from driftc.codegen.kernels.dsp.matrix import Matrix
from driftc.codegen.kernels.dsp.scales import Scales
from driftc.codegen.kernels.portable.default import PORTABLE
from driftc.codegen.kernels.walk import NEVER, Walk, visits
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.weighted import Weighted

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

SHORT_RUNS = (4, 8)  # bytes
TAP = 20.0  # instructions to find a tap at the border
COPIED = 5.0  # a byte of one
GROUPS = Mix.of(
    multiple=0.012,
    register=0.086,
    double=0.037,
    store=0.017,
    load=0.08,
    chained=0.124,
    multiply=0.019,
    accumulate=0.291,
    used=0.062,
    taken=0.043,
    pair=0.261,
)


class Convolution(Matrix):
    """A row of the window is one run of bytes where its pixels follow each other, else each tap is. Group by group."""

    name = "dsp/convolution"

    def serves(self, call: Call) -> bool:
        op = call.computed
        if not (isinstance(op, Conv2D) and self.finishes(call) and in_groups(call)):
            return False
        return call.inputs[0].gapless or not self._by_rows(op) or op.weights.shape[3] % 4 == 0

    def template(self, call: Call) -> str:
        return "dsp/convolution.c.j2"

    def runs(self, op: Operator) -> tuple[int, ...]:
        assert isinstance(op, Conv2D)
        rows, pixels = op.kernel
        depth = op.weights.shape[3]
        return (pixels * depth,) * rows if self._by_rows(op) else (depth,) * (rows * pixels)

    def short_run(self, op: Operator) -> int:
        assert isinstance(op, Conv2D)
        depth = op.weights.shape[3]
        return depth if depth in SHORT_RUNS and not self._by_rows(op) else 0

    def _by_rows(self, op: Conv2D) -> bool:
        return op.dilation[1] == 1 and op.groups == 1

    def scales(self, op: Weighted) -> Scales | None:
        found = super().scales(op)
        return None if found and found.others and isinstance(op, Conv2D) and op.groups > 1 else found

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        return walk_of_groups(operator, backward)

    def odd(self, call: Call) -> bool:
        return call.outputs[0].shape[1] % 2 == 1

    def paired(self, call: Call) -> bool:
        return call.outputs[0].shape[1] > 1

    def values(self, call: Call) -> dict[str, Any]:
        op = call.computed
        assert isinstance(op, Conv2D)
        rows, pixels = op.kernel
        depth = op.weights.shape[3]
        joined = self._by_rows(op) and call.inputs[0].gapless
        return super().values(of_one(call)) | {
            "groups": op.groups,
            "rows": rows,
            "taps": pixels,
            "depth": depth,
            "short": self.short_run(op),
            "joined": joined,  # a row of the window is one run
            "copied": joined and depth % 4 != 0,  # at the border it is put together
            "stride": op.stride,
            "dilation": op.dilation,
            "top": op.padding[0],
            "left": op.padding[2],
            "inside": [op.interior(axis) for axis in (0, 1)],
        }

    def mix_of(self, call: Call) -> Mix:
        assert isinstance(call.computed, Conv2D)
        return super().mix_of(call) if call.computed.groups == 1 else GROUPS

    def cost(self, call: Call) -> float:
        op, y = call.computed, call.outputs[0]
        assert isinstance(op, Conv2D)
        height, width, _ = y.shape
        twos, ones = call.rows.count * (width // 2), call.rows.count * (width % 2)
        inner = 1.0
        for axis, size in ((0, height), (1, width)):
            first, last = op.interior(axis)
            inner *= (last - first) / size
        rows, pixels = op.kernel
        depth = op.weights.shape[3]
        bytes_at_border = COPIED * depth if depth % 4 else 0.0
        tap = 0.0 if self.short_run(op) else TAP + bytes_at_border  # short runs are found alike everywhere
        border = (1 - inner) * rows * pixels * tap * (2 * twos + ones)
        return op.groups * (self.matrix_cost(of_one(call), twos, ones, self.runs(call.operator)) + border)


def in_groups(call: Call) -> bool:
    """Without groups; or of each as many channels as fill fours, all finished here."""
    op = call.computed
    assert isinstance(op, Conv2D)
    return op.groups == 1 or (op.channels // op.groups % 4 == 0 and call.epilogue == "requantize")


def of_one(call: Call) -> Call:
    """The part of the call that computes one group."""
    op = call.computed
    assert isinstance(op, Conv2D)
    return call if op.groups == 1 else replace(call, channels=replace(call.channels, count=op.channels // op.groups))


def walk_of_groups(operator: Operator, backward: bool) -> Walk | None:
    """One group after the other, each over all pixels, of which both of two are read before either is written."""
    assert isinstance(operator, Conv2D)
    if operator.groups == 1:
        return PORTABLE.walk(operator, backward)
    computed, last = visits(operator, backward)
    inputs, outputs = (np.arange(n) * operator.groups // n for n in (operator.inputs[0].shape[3], operator.channels))
    read = np.where(last[..., None] == NEVER, NEVER, inputs * computed.size + last[..., None])
    return Walk((read,), (outputs * computed.size + computed[..., None],))


class ConvolutionSums(Convolution):
    """For layers that are normalised live: values and statistics come of the sums."""

    name = "dsp/convolution_sums"
    sums = True
