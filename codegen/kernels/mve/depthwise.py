"""Depthwise convolution: 16 channels of a pixel at a time, any window and stride, no scratch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from driftc.boards.timing import Mix
from driftc.codegen.kernels.depthwise import ByTaps, interior
from driftc.codegen.kernels.dsp.matrix import starts_at
from driftc.codegen.kernels.kernel import Changing, Shared
from driftc.codegen.kernels.mve.matrix import GATHERED
from driftc.codegen.kernels.mve.vectors import BYTES, SIXTEEN, WIDE, lanes_of_sixteen, vectors
from driftc.codegen.kernels.portable.default import PORTABLE
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

REGISTERS = ("r6", "r7", "r8", "r9", "r10", "r11", "r12", "r0", "lr")  # that can hold where a tap is
UNROLLED = 16  # taps at most
GATHERED_OF = 256  # channels of the input, whose numbers are bytes, where each makes several of the output
# Instructions on the emulated Cortex-M55 (gcc 12 -O2): a tap of 16 channels, and more for one in a loop; 16 channels.
TAP, SOUGHT, SIXTEENTH, SIGN, CLAMP = 9.8, 2.0, 38.0, 8.0, 4.0
PIXEL, ROW_TAP, BORDER_TAP, CALL = 60.0, 6.0, 12.0, 40.0
CLOSE = 1.12  # by which the costs of dsp/depthwise_plane, those of a Cortex-M4, may be too high here


class Depthwise(ByTaps):
    """Products of two taps are added as int16, then as int32."""

    name = "mve/depthwise"
    mix = Mix.of(
        vector=0.43, overlapped=0.32, multiple=0.005, register=0.045, double=0.007, store=0.02, load=0.05, taken=0.02
    )
    needs = frozenset({"mve"})
    header = "driftc_mve.h"
    limits = WIDE

    def heavy(self, op: DepthwiseConv2D) -> tuple[int, ...]:
        """The products of taps 0 and 1, 2 and 3, and so on, must add up within int16."""
        lowest = _taps(op) == -128
        pairs = len(lowest) // 2
        return tuple(np.flatnonzero((lowest[: 2 * pairs : 2] & lowest[1 : 2 * pairs : 2]).any(axis=0)).tolist())

    def serves(self, call: Call) -> bool:
        op = call.computed
        if not (isinstance(op, DepthwiseConv2D) and self.finishes(call)):
            return False
        every = call.channels.count == op.channels and op.inputs[0].hwc[2] <= GATHERED_OF
        return starts_at(call.channels, BYTES) and (op.multiplicity == 1 or every)

    def template(self, call: Call) -> str:
        return "mve/depthwise.c.j2"

    def shared(self, call: Call) -> tuple[Shared, ...]:
        about = self._variant(call)
        name = self._name(call)
        shared = Shared(name, "mve/depthwise_taps.c.j2", about | {"registers": REGISTERS, "unrolled": UNROLLED})
        return (*super().shared(call), shared)

    def constants(self, operator: Operator) -> dict[str, Array]:
        """`vectors` [channels / 16, taps, 16], and the scales as products come out."""
        assert isinstance(operator, DepthwiseConv2D)
        scales = self.scales(operator)
        assert scales is not None
        weights = np.where(scales.idle, 0, _taps(operator)).astype(np.int8)
        found: dict[str, Array] = {"vectors": _by_sixteen(weights)}
        return found | {"lanes": sources(operator, lanes_of_sixteen(scales))} | super().constants(operator)

    def changing(self, operator: Operator) -> Changing | None:
        assert isinstance(operator, DepthwiseConv2D)
        return Changing("sixteens", ("lanes",)) if operator.multiplicity == 1 else None

    def values(self, call: Call) -> dict[str, Any]:
        op = call.computed
        assert isinstance(op, DepthwiseConv2D)
        scales = self.scales(op)
        header = 4 if op.multiplicity > 1 else 0
        return super().values(call) | {
            "run": op.kernel[0] * op.kernel[1],
            "runs": 1,
            "scales": ("starts", header + 16) if self.sums else ("lanes", header + 36),
            "uniform": (0, 0),
            "zero": scales.zero if scales else 0,
            "range": (scales.low, scales.high) if scales else (0, 0),
            "function": self._name(call),
        }

    def cost(self, call: Call) -> float:
        op, about = call.computed, self._variant(call)
        assert isinstance(op, DepthwiseConv2D)
        taps: int = about["taps"]
        each = TAP + about["tail"] + (SOUGHT if taps > len(REGISTERS) else 0.0)
        block = taps * each + SIXTEENTH + SIGN * about["signed"] + CLAMP * about["clamped"]
        rows, width = call.rows.count, call.outputs[0].shape[1]
        pixel = PIXEL + vectors(call.channels.count) * block + (1 - interior(op)) * BORDER_TAP * taps
        return super().cost(call) + float(CLOSE * (CALL + rows * (width * pixel + ROW_TAP * taps)))

    def _variant(self, call: Call) -> dict[str, Any]:
        op = call.computed
        assert isinstance(op, DepthwiseConv2D)
        scales = self.scales(op)
        return {
            "taps": op.kernel[0] * op.kernel[1],
            "sums": self.sums,
            "tail": call.channels.count % BYTES != 0,
            "signed": scales is not None and scales.signed,
            "clamped": scales is not None and scales.clamped,
            "spread": op.multiplicity > 1,
        }

    def _name(self, call: Call) -> str:
        about = self._variant(call)
        marks = [mark for mark, is_so in about.items() if is_so and mark != "taps"]
        return "_".join(["driftc_depthwise", str(about["taps"]), *marks])


class DepthwiseSums(Depthwise):
    """For layers that are normalised live: values and statistics come of the sums."""

    name = "mve/depthwise_sums"
    sums = True

    def constants(self, operator: Operator) -> dict[str, Array]:
        """`starts` [channels / 16, 16]: the biases as products come out."""
        assert isinstance(operator, DepthwiseConv2D)
        other = {key: data for key, data in PORTABLE.constants(operator).items() if key not in ("weights", "bias")}
        padded = np.pad(operator.folded_bias, (0, -operator.channels % BYTES)).reshape(-1, BYTES)
        found: dict[str, Array] = {"vectors": _by_sixteen(_taps(operator))}
        return found | {"starts": sources(operator, padded[:, list(SIXTEEN)].astype(np.int32))} | other

    def scratch(self, call: Call) -> int:
        return 4 * BYTES * vectors(call.channels.count)

    def cost(self, call: Call) -> float:
        return super().cost(call) + GATHERED * call.rows.count * call.outputs[0].shape[1] * call.channels.count


def sources(op: DepthwiseConv2D, scales: NDArray[np.int32]) -> NDArray[np.int32]:
    """[channels / 16, ...]; where each input makes several channels, behind four words of bytes: which input."""
    if op.multiplicity == 1:
        return scales
    from_channel = np.arange(16 * len(scales)) // op.multiplicity
    found = np.minimum(from_channel, op.inputs[0].hwc[2] - 1).astype(np.uint8).reshape(-1, 16)
    return np.concatenate([found.view("<i4").astype(np.int32), scales], axis=1)


def _by_sixteen(taps: Array) -> NDArray[np.int8]:
    """[taps, channels] as [channels / 16, taps, 16]."""
    padded = np.pad(taps, ((0, 0), (0, -taps.shape[1] % BYTES))).reshape(len(taps), -1, BYTES)
    return np.ascontiguousarray(padded.transpose(1, 0, 2))


def _taps(op: DepthwiseConv2D) -> Array:
    """The weights as [taps, channels]."""
    assert op.weights.data is not None
    taps: Array = op.weights.data[0].reshape(-1, op.channels)
    return taps
