"""What the kernels by the vector matrix functions share: 4 channels by 2 pixels or by 1, inputs read where they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from driftc.boards.timing import Mix
from driftc.codegen.kernels.dsp.matrix import starts_at
from driftc.codegen.kernels.dsp.scales import Scales, apart, in_fours, others_of, scales_of
from driftc.codegen.kernels.kernel import Changing, Kernel, Shared
from driftc.codegen.kernels.mve.vectors import BYTES, WIDE, lanes, packed, rows_of, vectors, wrapped
from driftc.codegen.kernels.portable.default import PORTABLE
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

# Instructions on the emulated Cortex-M55 (gcc 12 -O2): four channels, a run of bytes, a vector of two pixels or of one.
FOUR, RUN, TWO, TAIL, ONE, SIGN, CLAMP = 43.0, 5.0, 16.0, 2.0, 10.0, 4.0, 7.0
SETUP, CALL = 40.0, 40.0
GATHERED = 14.0  # a result of which statistics are taken, more
ALONE = Mix.of(
    vector=0.25, overlapped=0.55, load=0.012, double=0.008, multiple=0.012, register=0.05, taken=0.075
)  # of one pixel


class Matrix(Kernel):
    """Sums of products of runs of input bytes, finished to int8 in the same function."""

    needs: ClassVar[frozenset[str]] = frozenset({"mve"})
    header = "driftc_mve.h"
    mix = Mix.of(
        vector=0.37, overlapped=0.32, load=0.02, store=0.014, double=0.034, multiple=0.009, register=0.075, taken=0.042
    )
    sums: ClassVar[bool] = False  # the finished sums of a pixel are gathered in scratch, for statistics

    def mix_of(self, call: Call) -> Mix:
        return self.mix if self.pairs(call)[0] else ALONE

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
        scales = self.scales(op)
        if not whole or (scales is None and not self.sums):
            return False
        return scales is None or not scales.others or call.channels.count == op.channels

    def scales(self, op: Weighted) -> Scales | None:
        """Of the sums that are finished here."""
        return None if self.sums else scales_of(op, WIDE, others_of(op))

    def constants(self, operator: Operator) -> dict[str, Array]:
        assert isinstance(operator, Weighted)
        scales, runs = self.scales(operator), self.runs(operator)
        found: dict[str, Array] = {"vectors": packed(rows_of(operator, scales), runs)}
        if self.sums:
            other = {key: data for key, data in PORTABLE.constants(operator).items() if key not in ("weights", "bias")}
            return found | {"starts": in_fours(operator.folded_bias.astype(np.int32))} | other
        assert scales is not None
        if scales.others:
            others = list(scales.others)
            found["other_vectors"] = packed(rows_of(operator)[others], runs)
            found["other_starts"] = in_fours(operator.folded_bias[others].astype(np.int32))
        return found | ({"biases": in_fours(wrapped(scales.bias))} if scales.uniform else {"lanes": lanes(scales)})

    def changing(self, operator: Operator) -> Changing | None:
        return Changing("fours", ("lanes",))

    def scratch(self, call: Call) -> int:
        """For the sums of two pixels."""
        pixels = 2 if self.pairs(call)[0] else 1
        return pixels * 16 * -(-call.channels.count // 4) if self.sums else 0

    def reverses(self, operator: Operator) -> bool:
        return PORTABLE.reverses(operator)

    def shared(self, call: Call) -> tuple[Shared, ...]:
        about = self._variant(call)
        two, one = self.pairs(call)
        sizes = [2] * (two > 0) + [1] * (one > 0)
        variants = [about, *([of_others(about)] if self._others(call) else [])]
        each = [(n, {**one, "tail": one["tail"] and n == 2}) for n in sizes for one in variants]  # one pixel: by DLSTP
        return tuple(Shared(_name(one, n), f"mve/matrix_4x{n}.c.j2", one) for n, one in each)

    def values(self, call: Call) -> dict[str, Any]:
        """What templates/mve/lib.c.j2 needs."""
        op = call.computed
        assert isinstance(op, Weighted)
        scales, runs, about = self.scales(op), self.runs(call.operator), self._variant(call)
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
            "two": _name(about, 2),
            "one": _name(about, 1),
            "others_two": _name(of_others(about), 2),
            "others_one": _name(of_others(about), 1),
            **apart(op, scales),
        }

    def cost(self, call: Call) -> float:
        op, about = call.computed, self._variant(call)
        two, one = self.pairs(call)
        runs, others = self.runs(call.operator), self._others(call)
        fours_of = -(-call.channels.count // 4) + -(-others // 4)
        count, long = sum(map(vectors, runs)), RUN * len(runs) if about["rows"] else 0.0
        assert isinstance(op, Weighted)
        each = FOUR + SIGN * about["signed"] + CLAMP * about["clamped"] + long
        pair = fours_of * (each + count * (TWO + TAIL * about["tail"])) + SETUP
        gathered = GATHERED * (2 * two + one) * (call.channels.count if self.sums else 2 * others)
        return CALL + two * pair + one * (fours_of * (each * 0.75 + count * ONE) + SETUP) + gathered

    def _variant(self, call: Call) -> dict[str, bool]:
        op = call.computed
        assert isinstance(op, Weighted)
        scales, runs = self.scales(op), self.runs(call.operator)
        return {
            "sums": self.sums,
            "rows": len(runs) > 1,
            "tail": runs[0] % BYTES != 0,
            "signed": scales is not None and scales.signed,
            "clamped": scales is not None and scales.clamped,
            "uniform": scales is not None and scales.uniform,
        }

    def _others(self, call: Call) -> int:
        """How many channels are finished apart."""
        op = call.computed
        assert isinstance(op, Weighted)
        scales = self.scales(op)
        return len(scales.others) if scales else 0


def of_others(about: Mapping[str, bool]) -> dict[str, bool]:
    """The variant that gives the sums of channels that are finished apart."""
    return {**about, "sums": True, "signed": False, "clamped": False, "uniform": False}


def _name(about: Mapping[str, bool], pixels: int) -> str:
    marks = [mark for mark, is_so in about.items() if is_so and (mark != "tail" or pixels == 2)]
    return "_".join([f"driftc_vectors_4x{pixels}", *marks])
