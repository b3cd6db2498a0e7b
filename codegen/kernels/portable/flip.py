"""QUANTIZE between uint8 and int8 of the same real values: the top bit, of four bytes at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driftc.codegen.kernels.portable.default import Default
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.conversion.quantize import Quantize
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

WORD = 1.75  # instructions a byte
BYTE = 6.0  # where the buffers have gaps
CALL = 20.0


class Flip(Default):
    """In place, where the uint8 dies: nothing is copied, and no table is in flash."""

    name = "portable/flip"

    def serves(self, call: Call) -> bool:
        return isinstance(call.computed, Quantize) and call.computed.flips

    def template(self, call: Call) -> str:
        return "quantize/flip.c.j2"

    def constants(self, operator: Operator) -> dict[str, Array]:
        return {}

    def cost(self, call: Call) -> float:
        height, width, channels = call.outputs[0].shape
        every = (call.rows.count, call.channels.count) == (height, channels)
        flat = every and all(buffer.dense for buffer in (*call.inputs, *call.outputs))
        return CALL + call.rows.count * width * call.channels.count * (WORD if flat else BYTE)
