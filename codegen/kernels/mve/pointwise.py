"""1x1 convolution and dense layers: inputs straight from the tensor, two pixels at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from driftc.codegen.kernels.dsp.pointwise import rows_and_pixels
from driftc.codegen.kernels.mve.matrix import Matrix
from driftc.codegen.kernels.portable.default import PORTABLE
from driftc.codegen.kernels.walk import NEVER, Walk, visits
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.fully_connected import FullyConnected

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call


class Pointwise(Matrix):
    """Each pixel is one run of bytes, which is read for each four channels anew."""

    name = "mve/pointwise"

    def serves(self, call: Call) -> bool:
        op = call.computed
        fits = False
        if isinstance(op, Conv2D):
            fits = op.kernel == (1, 1) and op.groups == 1 and not any(op.padding)
        elif isinstance(op, FullyConnected):
            fits = call.inputs[0].dense and (op.rows == 1 or call.outputs[0].dense)
        return fits and self.finishes(call)

    def template(self, call: Call) -> str:
        return "mve/pointwise.c.j2"

    def runs(self, op: Operator) -> tuple[int, ...]:
        assert isinstance(op, Conv2D | FullyConnected)
        return (op.weights.shape[-1],)

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        """Of two pixels some channels are written before both are read for the last time."""
        return in_pairs(operator, backward)

    def pairs(self, call: Call) -> tuple[int, int]:
        rows, pixels = rows_and_pixels(call)
        return rows * (pixels // 2), rows * (pixels % 2)

    def values(self, call: Call) -> dict[str, Any]:
        op, x, y = call.computed, call.inputs[0], call.outputs[0]
        rows, pixels = rows_and_pixels(call)
        if isinstance(op, Conv2D):
            stride, joined = op.stride, rows != call.rows.count or rows == 1
            steps = x.strides[1] * stride[1], y.strides[1]
        else:
            stride, joined, steps = (1, 1), True, (self.runs(call.operator)[0], call.channels.count)
        about = {"joined": joined, "pixels": pixels, "stride": stride, "from_step": steps[0], "to_step": steps[1]}
        return super().values(call) | about


class PointwiseSums(Pointwise):
    """For layers that are normalised live: values and statistics come of the sums."""

    name = "mve/pointwise_sums"
    sums = True

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        """The operator's own is right: of two pixels all is read before any is written."""
        return PORTABLE.walk(operator, backward)


def in_pairs(operator: Operator, backward: bool) -> Walk:
    """Pixels as they are computed: some channels of one are written before the one before is read for the last time."""
    x, y = operator.inputs[0], operator.outputs[0]
    if isinstance(operator, FullyConnected):
        read = (np.arange(x.size) // operator.weights.shape[1]).reshape(x.hwc)
        return Walk((read + 2,), (np.repeat(np.arange(operator.rows), operator.channels).reshape(y.hwc),))
    assert isinstance(operator, Conv2D)
    computed, last = visits(operator, backward)
    read = np.where(last == NEVER, NEVER, last + 2)[..., None]
    return Walk((np.broadcast_to(read, x.hwc),), (np.broadcast_to(computed[..., None], y.hwc),))
