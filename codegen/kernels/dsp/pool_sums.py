"""POOL_SUMS: four channels at a time, up to 255 points in 16 bits, then in 32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from driftc.boards.timing import Mix
from driftc.codegen.kernels.dsp.mean import FOUR
from driftc.codegen.kernels.dsp.pool import CALL, MOST
from driftc.codegen.kernels.kernel import Kernel
from driftc.codegen.kernels.portable.default import PORTABLE
from driftc.codegen.kernels.walk import Walk
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.learn.meta import PoolSums

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

POINT, TURN = 3.0, 3.0  # instructions on the emulated Cortex-M4 (gcc 12 -O2): of four channels, of a turn of the loop
FEWEST = 8  # points that are added up in 16 bits, else it does not pay


class PoolSumsInFours(Kernel):
    """The map lies in one piece; its channels are a multiple of four."""

    name = "dsp/pool_sums"
    mix = Mix.of(store=0.018, load=0.22, taken=0.06, pair=0.346)
    needs = frozenset({"dsp"})
    header = "driftc_dsp.h"

    def serves(self, call: Call) -> bool:
        if not isinstance(call.computed, PoolSums) or call.reduce is not None:
            return False
        x = call.inputs[0]
        whole = x.strides[2] == 1 and x.whole_rows and x.strides[0] == x.shape[1] * x.strides[1]
        return whole and call.channels.count == x.shape[2] and x.shape[2] % 4 == 0 and self._chunk(call) >= FEWEST

    def template(self, call: Call) -> str:
        return "dsp/pool_sums.c.j2"

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        return PORTABLE.walk(operator, backward)

    def values(self, call: Call) -> dict[str, Any]:
        op, chunk = call.computed, self._chunk(call)
        assert isinstance(op, PoolSums)
        return {
            "chunks": op.pixels // chunk,
            "chunk": chunk,
            "at_once": _divisor(chunk, 8),
            "start": -op.inputs[0].zero_point * op.pixels,
        }

    def cost(self, call: Call) -> float:
        op, chunk = call.computed, self._chunk(call)
        assert isinstance(op, PoolSums)
        four = POINT * op.pixels + TURN * op.pixels / _divisor(chunk, 8) + 10.0 * op.pixels / chunk + FOUR
        return CALL + call.channels.count / 4 * four

    def _chunk(self, call: Call) -> int:
        """Points that are added up in 16 bits."""
        op = call.computed
        assert isinstance(op, PoolSums)
        return _divisor(op.pixels, MOST)


def _divisor(number: int, most: int) -> int:
    """The largest up to `most`."""
    return next(found for found in range(min(number, most), 0, -1) if number % found == 0)
