"""Convolution by Winograd's F(2, 3) along rows, in integers: four products for the two outputs of a tile, not six.

Of a row of a filter (a, b, c) and four pixels (p, q, r, s), in whatever integers, so that no bit is lost:

    m1 = (a + b + c) (q + r)      twice the first output  = m1 + m2 + 2 m0
    m2 = (a - b + c) (r - q)      twice the second output = m1 - m2 + 2 m3
    m0 = a (p - r)
    m3 = c (s - q)

and twice a sum is what requantisation begins with. The weights of m1 and m2 are int16, those of m0 and m3 twins: six
bytes where the direct form has three.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from driftc.boards.timing import Mix
from driftc.codegen.kernels.dsp.matrix import Matrix
from driftc.codegen.kernels.dsp.scales import scales_of
from driftc.codegen.kernels.dsp.twins import order_of, pairs_of, rows_of
from driftc.codegen.kernels.kernel import Shared
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

LARGEST = 32895  # of the sum of an outer tap's weights, in magnitude: times 255 below 2^23
DEEPEST = 819  # channels: five pixels are reached with an immediate offset
TILES, PIXELS, SEEN = 2, 4, 6  # at a time: their outputs, and the inputs that those need
# Instructions on the emulated Cortex-M4 (gcc 12 -O2): a pair of inputs of four products, with two loads by one
# instruction or not; four channels of two tiles besides; four channels of six pixels transformed, a row of them, a byte
# of one at the border; a group, a call.
PAIR, FOUR = {False: 59.0, True: 49.0}, 225.0
TRANSFORMED, ROW, COPIED, GROUP, CALL = 45.0, 40.0, 6.0, 30.0, 80.0

BOTH = {"store": 0.018, "multiple": 0.012, "register": 0.084, "multiply": 0.021, "accumulate": 0.333, "taken": 0.03}
MIXES = {
    False: Mix.of(**BOTH, double=0.008, load=0.122, chained=0.192, used=0.1, pair=0.21),
    True: Mix.of(**BOTH, double=0.15, load=0.05, chained=0.02, used=0.04, pair=0.18),
}


class Winograd(Matrix):
    """Windows three pixels wide that move by one; four outputs of a row at a time, of which some may lie beyond it."""

    name = "dsp/winograd"
    granted = True
    parts = False
    at_once: ClassVar[int] = 1  # rows of outputs

    def mix_of(self, call: Call) -> Mix:
        return MIXES[self.ldrd]

    def serves(self, call: Call) -> bool:
        op = call.computed
        if not (isinstance(op, Conv2D) and op.groups == 1 and self.finishes(call)):
            return False
        near = op.kernel[1] == 3 and op.stride[1] == 1 == op.dilation[1]
        return near and call.inputs[0].gapless and op.weights.shape[3] <= DEEPEST and outer_fits(op)

    def template(self, call: Call) -> str:
        return "dsp/winograd.c.j2"

    def runs(self, op: Operator) -> tuple[int, ...]:
        """Of one of the transforms."""
        assert isinstance(op, Conv2D)
        return (op.weights.shape[3],) * op.kernel[0]

    def constants(self, operator: Operator) -> dict[str, Array]:
        assert isinstance(operator, Conv2D)
        found = super().constants(operator)
        del found["twins"]
        words = self.transforms(operator)
        return {"transforms": words.reshape(len(words), -1).astype("<i2").view(np.int8)} | found

    def taps(self, op: Conv2D) -> NDArray[np.int64]:
        """[channels in fours, rows, 3, depth]"""
        return rows_of(op, self.scales(op)).reshape(-1, *op.kernel, op.weights.shape[3])

    def transforms(self, op: Conv2D) -> NDArray[np.int64]:
        """[channels / 4, int16]: for m1, m2 of each pair of inputs four channels'; then for m0, m3 their twins."""
        taps, order = self.taps(op), order_of(self.runs(op))
        a, b, c = (taps[:, :, column] for column in range(3))
        outer = [in_order(taps, order) for taps in (a, c)]
        twins = [256 * pairs[:, :, 1::2] + pairs[:, :, ::2] for pairs in outer]
        parts = [in_order(a + b + c, order), in_order(a - b + c, order), *twins]
        return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)

    def shared(self, call: Call) -> tuple[Shared, ...]:
        about = self.values(call)
        found = [Shared(about["transform"], "dsp/winograd_inputs.c.j2", {"depth": about["depth"]})]
        if about["window"]:
            found.append(Shared(about["gather"], "dsp/winograd_window.c.j2", {"depth": about["depth"], "seen": SEEN}))
        found.append(Shared(about["sum"], "dsp/winograd_sums.c.j2", self._variant(call)))
        return tuple(found)

    def scratch(self, call: Call) -> int:
        about = self.values(call)
        rest = 4 * PIXELS * self.at_once if about["rest"] else 0
        return int((about["before"] + about["words"]) * 4 + about["window"] + about["spare"] + rest)

    def values(self, call: Call) -> dict[str, Any]:
        op, width = call.computed, call.outputs[0].shape[1]
        assert isinstance(op, Conv2D)
        depth, pairs = op.weights.shape[3], pairs_of(self.runs(op))
        about = self._variant(call)
        marks = [mark for mark in ("signed", "clamped") if about[mark]]
        return super().values(call) | {
            "depth": depth,
            "rows": op.kernel[0],
            "stride": op.stride[0],
            "dilation": op.dilation[0],
            "top": op.padding[0],
            "left": op.padding[2],
            "before": 0,
            "words": 4 * TILES * pairs,
            "leaves": any(op.padding),
            "window": 0 if self._inside(call) else -(-SEEN * depth // 4) * 4,
            "spare": PIXELS * (call.channels.count // 4 * 4) if width % PIXELS else 0,
            "weights": "transforms",
            "step": 12 * pairs,
            "transform": f"driftc_winograd_inputs_{depth}",
            "gather": f"driftc_winograd_window_{depth}",
            "sum": "_".join(["driftc_winograd", *marks]),
        }

    def cost(self, call: Call) -> float:
        op, width = call.computed, call.outputs[0].shape[1]
        assert isinstance(op, Conv2D)
        depth, rows = op.weights.shape[3], op.kernel[0]
        groups = -(-width // PIXELS)
        fours = -(-call.channels.count // 4)
        sums = fours * (PAIR[self.ldrd] * pairs_of(self.runs(op)) + FOUR)
        inputs = rows * (TRANSFORMED * depth / 4 + 10 * (depth % 4) + ROW)
        border = rows * (COPIED * SEEN * depth / 4 + ROW) * min(groups, 2) if not self._inside(call) else 0.0
        return CALL + call.rows.count * (groups * (sums + inputs + GROUP) + border)

    def _inside(self, call: Call) -> bool:
        """No group of pixels reaches over the border of the input."""
        op, width = call.computed, call.outputs[0].shape[1]
        assert isinstance(op, Conv2D)
        return not any(op.padding) and width % PIXELS == 0


@lru_cache(maxsize=512)
def outer_fits(op: Conv2D) -> bool:
    """Sums of twins fit 24 bits."""
    outer = rows_of(op, scales_of(op)).reshape(-1, *op.kernel, op.weights.shape[3])[:, :, ::2]
    return bool(np.abs(outer).sum(axis=(1, 3)).max() <= LARGEST)


def in_order(weights: NDArray[np.int64], order: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """[channels / 4, pairs, 4, 2] of [channels, ...], with zeros where a pair has none."""
    rows = weights.reshape(len(weights), -1)
    padded = np.concatenate([rows, np.zeros((len(rows), 1), np.int64)], axis=1)
    pairs = padded[:, np.array(order).reshape(-1)].reshape(-1, 4, len(order), 2)
    return pairs.transpose(0, 2, 1, 3)
