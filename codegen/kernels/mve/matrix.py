"""What the kernels by the vector matrix functions share: 4 channels by 2 pixels or by 1, inputs read where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from driftc.codegen.kernels.dsp.matrix import starts_at
from driftc.codegen.kernels.dsp.scales import in_fours, scales_of
from driftc.codegen.kernels.kernel import Kernel, Shared
from driftc.codegen.kernels.mve.vectors import BYTES, lanes, packed, vectors, wrapped
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.plan import Call

# Instructions on the emulated Cortex-M55 (gcc 12 -O2): four channels, a run of bytes, a vector of two pixels or of one.
FOUR, RUN, TWO, TAIL, ONE, SIGN, CLAMP = 43.0, 5.0, 16.0, 2.0, 10.0, 4.0, 7.0
SETUP, CALL = 40.0, 40.0
GATHERED = 14.0  # a result of which statistics are taken, more


class Matrix(Kernel):
    """Sums of products of runs of input bytes, finished to int8 in the same function."""

    needs: ClassVar[frozenset[str]] = frozenset({"mve"})
    header = "driftc_mve.h"
    sums: ClassVar[bool] = False  # the finished sums of a pixel are gathered in scratch, for statistics

    def runs(self, op: Operator) -> tuple[int, ...]:
        """The bytes that are next to each other in RAM, run by run, of all inputs of a sum; all of one length."""
        raise NotImplementedError

    def pairs(self, call: Call) -> tuple[int, int]:
        """How many pixels are computed two at a time, in pairs, and how many alone."""
        raise NotImplementedError

    def finishes(self, call: Call) -> bool:
        """Whole sums, of channels from one that begins a four, become int8 in the short form; or statistics."""
        op, x, y = call.computed, call.inputs[0], call.outputs[0]
        if not isinstance(op, Weighted) or call.reduce is not None or not starts_at(call.channels, 4):
            return False
        if call.epilogue != ("statistics" if self.sums else "requantize"):
            return False
        if op.weights.dtype != np.int8 or x.dtype != np.int8 or op.weights.data is None:
            return False
        whole = x.kept == x.shape[2] and x.strides[2] == 1 and y.strides[2] == y.dtype.itemsize
        return whole and (self.sums or scales_of(op) is not None)

    def constants(self, operator: Operator) -> dict[str, Array]:
        assert isinstance(operator, Weighted)
        found: dict[str, Array] = {"vectors": packed(operator, self.runs(operator))}
        if self.sums:
            other = {key: data for key, data in operator.constants().items() if key not in ("weights", "bias")}
            return found | {"starts": in_fours(operator.folded_bias.astype(np.int32))} | other
        scales = scales_of(operator)
        assert scales is not None
        return found | ({"biases": in_fours(wrapped(scales.bias))} if scales.uniform else {"lanes": lanes(scales)})

    def scratch(self, call: Call) -> int:
        """For the sums of two pixels."""
        pixels = 2 if self.pairs(call)[0] else 1
        return pixels * 16 * -(-call.channels.count // 4) if self.sums else 0

    def reverses(self, operator: Operator) -> bool:
        return operator.reversible

    def shared(self, call: Call) -> tuple[Shared, ...]:
        about = self._variant(call)
        two, one = self.pairs(call)
        sizes = [2] * (two > 0) + [1] * (one > 0)
        return tuple(Shared(self._name(call, n), f"mve/matrix_4x{n}.c.j2", about) for n in sizes)

    def values(self, call: Call) -> dict[str, Any]:
        """What templates/mve/lib.c.j2 needs."""
        op = call.computed
        assert isinstance(op, Weighted)
        scales, runs = None if self.sums else scales_of(op), self.runs(call.operator)
        uniform = scales is not None and scales.uniform
        return {
            "sums": self.sums,
            "scales": ("starts", 4) if self.sums else ("biases", 4) if uniform else ("lanes", 9),
            "uniform": (int(scales.multiplier[0]), -1 - int(scales.shift[0])) if scales and uniform else (0, 0),
            "whole": -(-call.channels.count // 4) * 4,
            "copied": False,
            "run": runs[0],
            "runs": len(runs),
            "pitch": BYTES * vectors(runs[0]),
            "four": BYTES * 4 * sum(map(vectors, runs)),
            "zero": scales.zero if scales else 0,
            "range": (scales.low, scales.high) if scales else (0, 0),
            "two": self._name(call, 2),
            "one": self._name(call, 1),
        }

    def cost(self, call: Call) -> float:
        op, about = call.computed, self._variant(call)
        two, one = self.pairs(call)
        runs, fours_of = self.runs(call.operator), -(-call.channels.count // 4)
        count, long = sum(map(vectors, runs)), RUN * len(runs) if about["rows"] else 0.0
        assert isinstance(op, Weighted)
        each = FOUR + SIGN * about["signed"] + CLAMP * about["clamped"] + long
        pair = fours_of * (each + count * (TWO + TAIL * about["tail"])) + SETUP
        gathered = GATHERED * (2 * two + one) * call.channels.count if self.sums else 0.0
        return CALL + two * pair + one * (fours_of * (each * 0.75 + count * ONE) + SETUP) + gathered

    def _variant(self, call: Call) -> dict[str, bool]:
        op = call.computed
        assert isinstance(op, Weighted)
        scales, runs = None if self.sums else scales_of(op), self.runs(call.operator)
        return {
            "sums": self.sums,
            "rows": len(runs) > 1,
            "tail": runs[0] % BYTES != 0,
            "signed": scales is not None and scales.signed,
            "clamped": scales is not None and scales.clamped,
            "uniform": scales is not None and scales.uniform,
        }

    def _name(self, call: Call, pixels: int) -> str:
        about = self._variant(call) | ({} if pixels == 2 else {"tail": False})
        return "_".join([f"driftc_vectors_4x{pixels}", *(mark for mark, is_so in about.items() if is_so)])
