"""SHIFT_STATE: the state without its first elements, and the input behind them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.base import Operator
from driftc.codegen.tensor import Array, Shape


@dataclass(frozen=True, eq=False, kw_only=True)
class ShiftState(Operator):
    """Inputs: the state before, and as many elements as it forgets. The output is the state after, in its place."""

    codes = ("SHIFT_STATE",)
    in_files = False
    template = "shift_state"
    keeps_scale = True
    compared = "TFLite Micro, as STRIDED_SLICE, CONCATENATION and ASSIGN_VARIABLE"
    arithmetic = (
        "Bytes are moved. `passes/state.py` makes it of READ_VARIABLE, STRIDED_SLICE that drops the oldest rows, and a "
        "CONCATENATION with the newest whose result is assigned."
    )

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape,)

    def summary(self) -> str:
        return f"state moved on by {self.inputs[1].size} of {self.inputs[0].size}"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        old, new = (np.asarray(part).reshape(-1) for part in inputs)
        return (np.concatenate([old[new.size :], new]).reshape(self.outputs[0].shape),)
