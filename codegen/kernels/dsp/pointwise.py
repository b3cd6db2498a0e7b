"""1x1 convolution and dense layers over several rows: two pixels at a time by the matrix functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from driftc.codegen.kernels.dsp.matrix import Matrix
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.fully_connected import FullyConnected

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call


class Pointwise(Matrix):
    """Each pixel is one run of bytes."""

    name = "dsp/pointwise"

    def serves(self, call: Call) -> bool:
        op = call.computed
        if isinstance(op, Conv2D):
            fits = op.kernel == (1, 1) and op.groups == 1 and not any(op.padding)
        else:
            fits = isinstance(op, FullyConnected) and op.rows > 1 and call.inputs[0].dense and call.outputs[0].dense
        return fits and self.finishes(call)

    def template(self, call: Call) -> str:
        return "dsp/pointwise.c.j2"

    def runs(self, op: Operator) -> tuple[int, ...]:
        assert isinstance(op, Conv2D | FullyConnected)
        return (op.weights.shape[-1],)

    def odd(self, call: Call) -> bool:
        return rows_and_pixels(call)[1] % 2 == 1

    def paired(self, call: Call) -> bool:
        return rows_and_pixels(call)[1] > 1

    def values(self, call: Call) -> dict[str, Any]:
        op, x, y = call.computed, call.inputs[0], call.outputs[0]
        rows, pixels = rows_and_pixels(call)
        (run,) = self.runs(call.operator)
        if isinstance(op, Conv2D):
            stride, joined = op.stride, rows != call.rows.count or rows == 1
            steps = x.strides[1] * stride[1], y.strides[1]
        else:
            stride, joined, steps = (1, 1), True, (run, call.channels.count)
        about = {"joined": joined, "pixels": pixels, "stride": stride, "run": run, "from_step": steps[0]}
        return super().values(call) | about | {"to_step": steps[1]}

    def cost(self, call: Call) -> float:
        rows, pixels = rows_and_pixels(call)
        return self.matrix_cost(call, rows * (pixels // 2), rows * (pixels % 2), self.runs(call.operator))


class PointwiseSums(Pointwise):
    """For layers that are normalised live: values and statistics come of the sums."""

    name = "dsp/pointwise_sums"
    sums = True


def rows_and_pixels(call: Call) -> tuple[int, int]:
    """Rows, and pixels that follow each other in each."""
    op, x, y = call.computed, call.inputs[0], call.outputs[0]
    if isinstance(op, FullyConnected):
        return 1, op.rows
    assert isinstance(op, Conv2D)
    width = y.shape[1]
    joined = op.stride == (1, 1) and all(b.whole_rows and b.strides[0] == width * b.strides[1] for b in (x, y))
    return (1, call.rows.count * width) if joined else (call.rows.count, width)
