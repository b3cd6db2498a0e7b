"""COPY: the same bytes in another place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.base import Operator
from driftc.codegen.tensor import Array, Shape

DTYPES = ("int8", "int16", "int32")


@dataclass(frozen=True, eq=False, kw_only=True)
class Copy(Operator):
    """Where a state is still read after it was written, or is given what lies elsewhere."""

    codes = ("COPY",)
    in_files = False
    template = "copy"
    keeps_scale = True
    compared = "TFLite Micro, as READ_VARIABLE"
    arithmetic = "Bytes are copied. `passes/state.py` adds it where a variable is assigned before its value was used."

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape,)

    def check(self) -> None:
        x, y = self.inputs[0], self.outputs[0]
        if x.shape != y.shape or x.dtype != y.dtype:
            self.refuse(f"turns {x.dtype.name} {list(x.shape)} into {y.dtype.name} {list(y.shape)}")
        if x.dtype.name not in DTYPES:
            self.refuse(f"holds {x.dtype.name}; driftc compiles {', '.join(DTYPES)} here")

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (np.array(inputs[0]).reshape(self.outputs[0].shape),)
