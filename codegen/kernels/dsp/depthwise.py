"""Depthwise convolution straight from the tensor: four channels at a time, any window, no scratch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from driftc.boards.timing import Mix
from driftc.codegen.kernels.depthwise import ByTaps, interior
from driftc.codegen.kernels.dsp.matrix import bytes_of, starts_at
from driftc.codegen.kernels.kernel import Changing, Shared
from driftc.codegen.kernels.portable.default import PORTABLE
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

UNROLLED = 16  # taps at most
MULTIPLICITIES = (1, 2, 4, 8, 16, 32)  # of which four channels of the output come from one, two or four of the input
# Instructions on the emulated Cortex-M4 (gcc 12 -O2): a tap of four channels, by their number for each of the input;
# more of it in a loop; four channels, and a pixel.
TAP, LOOPED = {1: 11.0, 2: 12.0}, 2.0
TAP_OF_ONE = 11.0
FOUR, SIGN, CLAMP, SUMS = 42.0, 4.0, 5.0, 16.0
PIXEL, PIXEL_TAP, REST = 14.3, 2.5, 17.6
BORDER, BORDER_TAP, ROW, CALL_TAP = 79.0, 17.6, 31.0, 8.5
GATHERED = 10.0  # a result of which statistics are taken, more
# What they are: of products, of what finds and finishes them, and of entering the function.
TAPS = Mix.of(load=0.077, chained=0.155, accumulate=0.325, used=0.085, taken=0.057, pair=0.177)
FINISHED = Mix.of(
    register=0.031,
    double=0.069,
    store=0.064,
    load=0.128,
    chained=0.075,
    multiply=0.063,
    accumulate=0.025,
    used=0.041,
    taken=0.004,
    pair=0.265,
)
ENTERED = Mix.of(
    multiple=0.124,
    register=1.124,
    double=0.295,
    load=0.029,
    multiply=0.046,
    used=0.032,
    taken=0.093,
    pair=0.143,
)


class Depthwise(ByTaps):
    """The rest of four channels are the last of a four that begins before them, with weights of 0 for the others."""

    name = "dsp/depthwise"
    needs = frozenset({"dsp"})
    header = "driftc_dsp.h"

    def serves(self, call: Call) -> bool:
        op = call.computed
        if not isinstance(op, DepthwiseConv2D) or op.multiplicity not in MULTIPLICITIES or call.channels.count < 4:
            return False
        last = call.channels.start.literal == op.channels - call.channels.count
        in_fours = starts_at(call.channels, 4) and (call.channels.count % 4 == 0 or last)
        return in_fours and self.finishes(call)

    def template(self, call: Call) -> str:
        return "dsp/depthwise.c.j2"

    def shared(self, call: Call) -> tuple[Shared, ...]:
        about = self._variant(call) | {"unrolled": UNROLLED}
        return (*super().shared(call), Shared(self._name(call), "dsp/depthwise_taps.c.j2", about))

    def constants(self, operator: Operator) -> dict[str, Array]:
        """`taps` [channels / 4, taps, 4], and the scales."""
        assert isinstance(operator, DepthwiseConv2D) and operator.weights.data is not None
        scales = self.scales(operator)
        assert scales is not None
        found = {"taps": _by_four(np.where(scales.idle, 0, operator.weights.data[0]))} | super().constants(operator)
        return found | {
            "scales": rest_last(np.stack([scales.twice, scales.multiplier], axis=1)),
            "shifts": rest_last(scales.shift),
        }

    def changing(self, operator: Operator) -> Changing | None:
        return Changing("pairs_apart", ("scales", "shifts"))

    def values(self, call: Call) -> dict[str, Any]:
        op = call.computed
        assert isinstance(op, DepthwiseConv2D)
        scales = self.scales(op)
        return super().values(call) | {
            "zero": 2 * scales.zero + 1 if scales else 0,
            "low": bytes_of(scales.low) if scales else 0,
            "high": bytes_of(scales.high) if scales else 0,
            "function": self._name(call),
        }

    def cost(self, call: Call) -> float:
        return sum(self.kinds(call).values())

    def kinds(self, call: Call) -> dict[Mix, float]:
        op, about = call.computed, self._variant(call)
        assert isinstance(op, DepthwiseConv2D)
        taps: int = about["taps"]
        each = TAP.get(op.multiplicity, TAP_OF_ONE) + LOOPED * (taps > UNROLLED)
        finished = SUMS if self.sums else FOUR + SIGN * about["signed"] + CLAMP * about["clamped"]
        rest = call.channels.count % 4 > 0
        fours, pixels = call.channels.count // 4 + rest, call.rows.count * call.outputs[0].shape[1]
        border = 1 - interior(op)
        found = (1 - border) * taps * PIXEL_TAP + border * (BORDER + taps * BORDER_TAP)
        around = taps * CALL_TAP + call.rows.count * ROW
        gathered = GATHERED * call.channels.count if self.sums else 0.0
        return {
            TAPS: pixels * fours * taps * each,
            FINISHED: super().cost(call) + around + pixels * (fours * finished + found + gathered),
            ENTERED: pixels * (PIXEL + rest * REST),
        }

    def _variant(self, call: Call) -> dict[str, Any]:
        op = call.computed
        assert isinstance(op, DepthwiseConv2D)
        scales = self.scales(op)
        return {
            "taps": op.kernel[0] * op.kernel[1],
            "multiplicity": op.multiplicity,
            "sums": self.sums,
            "signed": scales is not None and scales.signed,
            "clamped": scales is not None and scales.clamped,
        }

    def _name(self, call: Call) -> str:
        about = self._variant(call)
        several = [f"by{about['multiplicity']}"] if about["multiplicity"] > 1 else []
        marks = [mark for mark in ("sums", "signed", "clamped") if about[mark]]
        return "_".join(["driftc_fours", str(about["taps"]), *several, *marks])


class DepthwiseSums(Depthwise):
    """For layers that are normalised live: values and statistics come of the sums."""

    name = "dsp/depthwise_sums"
    sums = True

    def constants(self, operator: Operator) -> dict[str, Array]:
        assert isinstance(operator, DepthwiseConv2D) and operator.weights.data is not None
        other = {key: data for key, data in PORTABLE.constants(operator).items() if key not in ("weights", "bias")}
        starts = rest_last(operator.folded_bias.astype(np.int32))
        return {"taps": _by_four(operator.weights.data[0]), "starts": starts} | other

    def scratch(self, call: Call) -> int:
        return 4 * call.channels.count


def rest_last(data: Array) -> Array:
    """Channels along the first axis in fours, the rest of four at the end of the last, behind zeros."""
    count = len(data)
    missing = np.zeros((-count % 4, *data.shape[1:]), data.dtype)
    return np.concatenate([data[: count // 4 * 4], missing, data[count // 4 * 4 :]])


def _by_four(weights: Array) -> Array:
    """[kernel rows, kernel pixels, channels] as [channels / 4, taps, 4]."""
    taps = weights.shape[0] * weights.shape[1]
    channels = rest_last(np.ascontiguousarray(weights.reshape(taps, -1).T.astype(np.int8)))
    return np.ascontiguousarray(channels.reshape(-1, 4, taps).transpose(0, 2, 1))
