"""What kernels share that sum products by the matrix functions, 4 channels by 2 pixels, and by 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from driftc.boards.timing import Mix
from driftc.codegen.kernels.dsp.scales import SHORT, Scales, apart, in_fours, others_of, scales_of
from driftc.codegen.kernels.dsp.twins import alone, heavy, order_of, pairs_of, rows_of, twins
from driftc.codegen.kernels.kernel import Changing, Kernel, Shared
from driftc.codegen.kernels.portable.default import PORTABLE
from driftc.codegen.kernels.walk import Walk
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.buffer import Span
    from driftc.codegen.plan.call import Call

# Measured on the emulated Cortex-M4 (gcc 12 -O2): instructions of the matrix functions and of widening.
PAIRED, SINGLE = (0.05, 9.3), (0.94, 12.0)  # a product and a result; of two pixels besides the loop
LOADS = {True: 0.75, False: 0.875}  # a product of two pixels, inputs and weights loaded two at once or one by one
WIDENED_ANEW = 0.125  # a product, more, where the matrix function widens the inputs
WIDENED, RUN, ODD = 1.1, 12.0, 5.0  # a byte, a run of them, and one that is no multiple of four
RUN_ALONE = 10.0  # a run of a pixel that is computed alone, more
SETUP, REST = 36.0, 14.0  # a call of a matrix function; and what is copied of the last channels, a pixel
OTHER = 30.0  # a channel that is finished apart
GATHERED = 14.0  # a result of which statistics are taken, more
CALL = 60.0
# What instructions are, by the form of loads (counted by single ones), of sums of FEW products and of more.
FEW = 96
SINGLE_FEW = {"multiple": 0.009, "register": 0.034, "load": 0.084, "chained": 0.157, "used": 0.069, "pair": 0.24}
SINGLE_MORE = {"multiple": 0.003, "register": 0.011, "load": 0.085, "chained": 0.177, "used": 0.08, "pair": 0.235}
BOTH_FEW = {"store": 0.009, "multiply": 0.01, "accumulate": 0.373, "taken": 0.029}
BOTH_MORE = {"store": 0.006, "multiply": 0.011, "accumulate": 0.457, "taken": 0.018}
ALONE = Mix.of(
    multiple=0.061,
    register=0.245,
    double=0.069,
    store=0.005,
    load=0.012,
    multiply=0.008,
    accumulate=0.486,
    taken=0.031,
    pair=0.292,
)  # of one pixel
ALONE_RAW = Mix.of(multiple=0.058, register=0.233, load=0.06, accumulate=0.465, used=0.058, taken=0.029, pair=0.264)
# Of four channels or fewer, most is copying inputs and finishing sums.
NARROW = Mix.of(
    multiple=0.012, register=0.045, double=0.06, store=0.03, load=0.19, chained=0.1, accumulate=0.25, taken=0.13
)
MIXES = {
    (False, True): Mix.of(**BOTH_FEW, **SINGLE_FEW, double=0.036),
    (False, False): Mix.of(**BOTH_MORE, **SINGLE_MORE, double=0.018),
    (True, True): Mix.of(**BOTH_FEW, multiple=0.01, register=0.037, double=0.15, load=0.03, used=0.02, pair=0.2),
    (True, False): Mix.of(**BOTH_MORE, multiple=0.003, register=0.012, double=0.16, load=0.02, used=0.02, pair=0.2),
}


class Matrix(Kernel):
    """Sums of products of runs of input bytes, finished to int8 in the same function."""

    needs: ClassVar[frozenset[str]] = frozenset({"dsp"})
    sums: ClassVar[bool] = False  # the finished sums of a pixel are gathered in scratch, for statistics
    raw: ClassVar[bool] = False  # the matrix function widens the inputs itself, for each four channels anew
    parts: ClassVar[bool] = True  # channels that the short form does not fit are computed apart
    header = "driftc_dsp.h"

    def runs(self, op: Operator) -> tuple[int, ...]:
        """The bytes that are next to each other in RAM, run by run, of all inputs of a sum."""
        raise NotImplementedError

    def odd(self, call: Call) -> bool:
        """Some pixel is computed alone."""
        raise NotImplementedError

    def paired(self, call: Call) -> bool:
        """Some pixels are computed two at a time."""
        return True

    def short_run(self, op: Operator) -> int:
        """The bytes of a run, where a function of its own widens so few; else 0."""
        return 0

    def uniform(self, op: Weighted) -> tuple[int, int] | None:
        """Multiplier and shift that all channels share, where the matrix function takes them so."""
        return None

    @property
    def ldrd(self) -> bool:
        """Two words are loaded by one instruction: where that takes no more cycles than one by one."""
        return self.timing is not None and self.timing.doubles

    def mix_of(self, call: Call) -> Mix:
        if not self.paired(call):
            return ALONE_RAW if self.raw else ALONE
        if call.channels.count <= 4:
            return NARROW
        return MIXES[self.ldrd, 2 * pairs_of(self.runs(call.operator)) <= FEW]

    def finishes(self, call: Call) -> bool:
        """Whole sums, of channels from one that begins a four, become int8 in the short form; or statistics."""
        op, x, y = call.computed, call.inputs[0], call.outputs[0]
        if not isinstance(op, Weighted) or call.reduce is not None or not starts_at(call.channels, 4):
            return False
        if call.epilogue != ("statistics" if self.sums else "requantize"):
            return False
        whole = x.kept == x.shape[2] and x.strides[2] == 1 and y.strides[2] == y.dtype.itemsize
        if not whole or heavy(op) is None:
            return False
        if self.sums:
            return not heavy(op)
        scales = self.scales(op)
        return scales is not None and (not scales.others or call.channels.count == op.channels)

    def scales(self, op: Weighted) -> Scales | None:
        """Of the sums that are finished here."""
        return None if self.sums else scales_of(op, SHORT, others_of(op) if self.parts else 0, heavy(op) or ())

    def constants(self, operator: Operator) -> dict[str, Array]:
        assert isinstance(operator, Weighted)
        order, scales = order_of(self.runs(operator)), self.scales(operator)
        found: dict[str, Array] = {"twins": twins(rows_of(operator, scales), order)}
        if self.sums:
            other = {key: data for key, data in PORTABLE.constants(operator).items() if key not in ("weights", "bias")}
            return found | {"starts": in_fours(operator.folded_bias.astype(np.int32))} | other
        assert scales is not None
        if scales.others:
            rows, starts = alone(operator, scales.others)
            found |= {"other_twins": twins(rows, order), "other_starts": starts}
        return found | (scales.constants() if self.uniform(operator) is None else {"biases": in_fours(scales.twice)})

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        """The operator's own is right: of two pixels both are read before either is written."""
        return PORTABLE.walk(operator, backward)

    def reverses(self, operator: Operator) -> bool:
        return PORTABLE.reverses(operator)

    def changing(self, operator: Operator) -> Changing | None:
        return Changing("pairs", ("scales", "shifts"))

    def scratch(self, call: Call) -> int:
        pixels = 2 if self.paired(call) else 1
        sums = -(-call.channels.count // 4) * 4 if self.sums else 0
        return (pairs_of(self.runs(call.operator)) + sums) * 4 * pixels

    def shared(self, call: Call) -> tuple[Shared, ...]:
        found = []
        for pixels in self._pixels(call):
            if not self.raw:
                run = self.short_run(call.operator)
                name = f"driftc_widen_{pixels}" + (f"_of_{run}" if run else "")
                found.append(Shared(name, "dsp/widen.c.j2", {"pixels": pixels, "run": run}))
            about = self._variant(call)
            variants = [about, *([self._of_others] if self._others(call) else [])]
            found += [Shared(_name(each, pixels), "dsp/matrix.c.j2", {**each, "pixels": pixels}) for each in variants]
        return tuple(found)

    def values(self, call: Call) -> dict[str, Any]:
        """What templates/dsp/lib.c.j2 needs."""
        op, count = call.computed, call.channels.count
        assert isinstance(op, Weighted)
        scales, about = self.scales(op), self._variant(call)
        uniform = None if self.sums else self.uniform(op)
        biases = ("starts" if self.sums else "biases") if self.sums or uniform else None
        pairs = pairs_of(self.runs(call.operator))
        return {
            "pairs": pairs,
            "weights": "twins",
            "step": 2 * pairs,  # bytes of them to the next channel
            "raw": self.raw,
            "inputs": "in" if self.raw else "pairs",
            "sums": self.sums,
            "paired": self.paired(call),
            "biases": biases,  # where they are by themselves
            "uniform": uniform or (0, 0),
            "whole": -(-count // 4) * 4 if self.sums else count // 4 * 4,
            "rest": 0 if self.sums else count % 4,
            "zero": 2 * scales.zero + 1 if scales else 0,
            "low": bytes_of(scales.low) if scales else 0,
            "high": bytes_of(scales.high) if scales else 0,
            "two": _name(about, 2),
            "one": _name(about, 1),
            "others_two": _name(self._of_others, 2),
            "others_one": _name(self._of_others, 1),
            **apart(op, scales),
        }

    def _pixels(self, call: Call) -> list[int]:
        return [2] * self.paired(call) + [1] * self.odd(call)

    def _variant(self, call: Call) -> dict[str, bool]:
        op = call.computed
        assert isinstance(op, Weighted)
        scales = self.scales(op)
        return {
            "raw": self.raw,
            "sums": self.sums,
            "signed": scales is not None and scales.signed,
            "clamped": scales is not None and scales.clamped,
            "uniform": scales is not None and self.uniform(op) is not None,
            "ldrd": self.ldrd,
        }

    @property
    def _of_others(self) -> dict[str, bool]:
        """The variant that gives the sums of channels that are finished apart."""
        return dict.fromkeys(("raw", "signed", "clamped", "uniform"), False) | {"sums": True, "ldrd": self.ldrd}

    def _others(self, call: Call) -> int:
        """How many those are."""
        op = call.computed
        assert isinstance(op, Weighted)
        scales = self.scales(op)
        return len(scales.others) if scales else 0

    def matrix_cost(self, call: Call, twos: int, ones: int, runs: Sequence[int]) -> float:
        """Of `twos` pairs of pixels and `ones` single ones, each of `runs` bytes."""
        products, count = 2 * pairs_of(tuple(self.runs(call.operator))), -(-call.channels.count // 4) * 4
        calls = (call.channels.count >= 4) + (call.channels.count % 4 > 0)
        others = self._others(call)
        count += -(-others // 2) * 4
        calls += others > 0
        pixel = sum(run * WIDENED + RUN + ODD * (run % 4 > 0) for run in runs)
        pixel += OTHER * others + REST * (call.channels.count % 4 > 0)
        two = 2 * (count * ((PAIRED[0] + LOADS[self.ldrd]) * products + PAIRED[1]) + pixel) + SETUP * calls
        pixel += RUN_ALONE * len(runs)
        one = count * (SINGLE[0] * products + SINGLE[1]) + pixel + SETUP * calls
        one += WIDENED_ANEW * products * call.channels.count if self.raw else 0.0
        gathered = GATHERED * (2 * twos + ones) * call.channels.count if self.sums else 0.0
        return CALL + twos * two + ones * one + gathered


def _name(about: Mapping[str, bool], pixels: int) -> str:
    marks = [mark for mark in ("raw", "sums", "signed", "clamped", "uniform") if about[mark]]
    return "_".join([f"driftc_matrix_4x{pixels}", *marks])


def starts_at(channels: Span, multiple: int) -> bool:
    """They begin with a multiple of so many."""
    start = channels.start
    return start.constant % multiple == 0 and all(factor % multiple == 0 for _, factor in start.factors)


def bytes_of(value: int) -> str:
    """The int8 in each byte of a word, as C has it."""
    return f"0x{(value & 0xFF) * 0x01010101:08X}u"
