"""Convolution: windows inside the input are read where they are, row by row; others are put together in scratch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from driftc.codegen.kernels.dsp.convolution import in_groups, of_one, walk_of_groups
from driftc.codegen.kernels.dsp.scales import Scales
from driftc.codegen.kernels.kernel import Shared
from driftc.codegen.kernels.mve.matrix import Matrix
from driftc.codegen.kernels.mve.pointwise import in_pairs
from driftc.codegen.kernels.mve.vectors import BYTES, vectors
from driftc.codegen.kernels.portable.default import PORTABLE
from driftc.codegen.kernels.walk import Walk
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.weighted import Weighted

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

COPIED, PIECE = 3.0, 30.0  # instructions for a vector, and for a row of a window besides


class Convolution(Matrix):
    """Without groups, not dilated along rows: a row of the window is a run, padded to vectors among the weights."""

    name = "mve/convolution"
    together: ClassVar[int] = 2  # windows that are in scratch at once

    def serves(self, call: Call) -> bool:
        op = call.computed
        plain = isinstance(op, Conv2D) and self.grouped(call) and op.dilation[1] == 1
        return plain and self.finishes(call) and call.inputs[0].gapless

    def grouped(self, call: Call) -> bool:
        """Its groups are computed here."""
        op = call.computed
        return isinstance(op, Conv2D) and op.groups == 1

    def template(self, call: Call) -> str:
        return "mve/convolution.c.j2"

    def runs(self, op: Operator) -> tuple[int, ...]:
        assert isinstance(op, Conv2D)
        return (op.kernel[1] * op.weights.shape[3],) * op.kernel[0]

    def pitch(self, call: Call) -> int:
        """Bytes from row to row of a window in scratch."""
        return BYTES * vectors(self.runs(call.operator)[0])

    def direct(self, call: Call) -> bool:
        """Rows follow each other in the whole input: windows inside are read where they are."""
        op = call.computed
        assert isinstance(op, Conv2D)
        return call.inputs[0].whole_rows or op.kernel[0] == 1

    def inner(self, call: Call) -> float:
        """The share of windows that is not copied."""
        op, y = call.computed, call.outputs[0]
        assert isinstance(op, Conv2D)
        if not self.direct(call):
            return 0.0
        (top, bottom), (left, right) = op.interior(0), op.interior(1)
        return (bottom - top) * (right - left) / (y.shape[0] * y.shape[1])

    def pairs(self, call: Call) -> tuple[int, int]:
        rows, width = call.rows.count, call.outputs[0].shape[1]
        return rows * (width // 2), rows * (width % 2)

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        """Of two pixels some channels are written before both are read for the last time."""
        return in_pairs(operator, backward)

    def scratch(self, call: Call) -> int:
        """The windows of two pixels, and then their sums."""
        if self.inner(call) == 1.0:
            return super().scratch(call)
        return self._words(call) * 4 + super().scratch(call)

    def shared(self, call: Call) -> tuple[Shared, ...]:
        copied = self.inner(call) < 1.0
        found = super().shared(call)
        if not copied:
            return found
        names = ["driftc_copy_vectors"] + ["driftc_fill_vectors"] * self._outside(call)
        return (*(Shared(name, f"mve/{name.removeprefix('driftc_')}.c.j2") for name in names), *found)

    def values(self, call: Call) -> dict[str, Any]:
        op = call.computed
        assert isinstance(op, Conv2D)
        rows, taps = op.kernel
        window = self.pitch(call)
        return super().values(call) | {
            "groups": op.groups,
            "rows": rows,
            "taps": taps,
            "depth": op.weights.shape[3],
            "stride": op.stride,
            "dilation": op.dilation,
            "top": op.padding[0],
            "left": op.padding[2],
            "inside": [op.interior(axis) for axis in (0, 1)],
            "direct": self.direct(call),
            "copied": self.inner(call) < 1.0,
            "outside": self._outside(call),
            "window": window,
            "windows": self._words(call),
            "together": self.together,
            "skip": op.dilation[0] * call.inputs[0].strides[0] - window,  # after a row of the input
        }

    def cost(self, call: Call) -> float:
        op = call.computed
        assert isinstance(op, Conv2D)
        two, one = self.pairs(call)
        row = PIECE + COPIED * vectors(op.kernel[1] * op.weights.shape[3])
        return super().cost(call) + (1 - self.inner(call)) * (2 * two + one) * op.kernel[0] * row

    def _words(self, call: Call) -> int:
        """That hold the windows in scratch."""
        op = call.computed
        assert isinstance(op, Conv2D)
        windows = min(self.together, call.outputs[0].shape[1])
        return -(-windows * op.kernel[0] * self.pitch(call) // 4)

    def _outside(self, call: Call) -> bool:
        """Some windows reach over the border of the input."""
        op, y = call.computed, call.outputs[0]
        assert isinstance(op, Conv2D)
        return [op.interior(axis) for axis in (0, 1)] != [(0, y.shape[0]), (0, y.shape[1])]


class ConvolutionSingle(Convolution):
    """In half the scratch: at the border, or where rows do not follow each other, one window at a time."""

    name = "mve/convolution_single"
    together = 1

    def serves(self, call: Call) -> bool:
        return super().serves(call) and call.outputs[0].shape[1] > 1 and self.inner(call) < 1.0

    def pairs(self, call: Call) -> tuple[int, int]:
        """Those inside; all others are single."""
        rows, width = call.rows.count, call.outputs[0].shape[1]
        inside = max(round(rows * (width // 2) * self.inner(call)), 1) if self.direct(call) else 0
        return inside, max(rows * width - 2 * inside, 1)


class ConvolutionGathered(Convolution):
    """Every window is put together in scratch: for rows of few bytes, which would fill vectors badly, and groups."""

    name = "mve/convolution_gathered"

    def grouped(self, call: Call) -> bool:
        return isinstance(call.computed, Conv2D) and in_groups(call)

    def scales(self, op: Weighted) -> Scales | None:
        found = super().scales(op)
        return None if found and found.others and isinstance(op, Conv2D) and op.groups > 1 else found

    def runs(self, op: Operator) -> tuple[int, ...]:
        assert isinstance(op, Conv2D)
        rows, taps = op.kernel
        return (rows * taps * op.weights.shape[3],)

    def pitch(self, call: Call) -> int:
        op = call.computed
        assert isinstance(op, Conv2D)
        return op.kernel[1] * op.weights.shape[3]

    def direct(self, call: Call) -> bool:
        return False

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        return walk_of_groups(operator, backward)

    def cost(self, call: Call) -> float:
        op = call.computed
        assert isinstance(op, Conv2D)
        taps = op.kernel[0] * op.kernel[1] if op.groups > 1 else 0  # each copied by itself
        pixels = call.rows.count * call.outputs[0].shape[1]
        each = super().cost(of_one(call)) + pixels * taps * PIECE
        return op.groups * each


class ConvolutionSums(Convolution):
    """For layers that are normalised live: values and statistics come of the sums."""

    name = "mve/convolution_sums"
    sums = True

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        """The operator's own is right: of two pixels all is read before any is written."""
        return PORTABLE.walk(operator, backward)


class ConvolutionGatheredSums(ConvolutionGathered):
    """The same, for rows of few bytes."""

    name = "mve/convolution_gathered_sums"
    sums = True
