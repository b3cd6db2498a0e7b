"""Shared by RESHAPE, SQUEEZE and EXPAND_DIMS: the same bytes under another shape, at no cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from driftc.codegen.operators.base import Operator, batched
from driftc.codegen.operators.ranges import Ranges, repeated
from driftc.codegen.tensor import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class View(Operator):
    """out = in, of another shape."""

    template = "copy"  # where a view cannot share its input's bytes
    keeps_scale = True
    view = True
    dtypes: ClassVar[tuple[str, ...]] = ("int8", "int32")
    arithmetic = "The same bytes under another shape."

    def check(self) -> None:
        x, y = self.inputs[0], self.outputs[0]
        (shape,) = self.infer()
        if y.shape != shape:
            self.refuse(f"gives shape {list(shape)}, but the file says {list(y.shape)}")
        if x.dtype != y.dtype or x.dtype.name not in self.dtypes:
            self.refuse(f"turns {x.dtype.name} into {y.dtype.name}; driftc compiles {' and '.join(self.dtypes)} here")

    def check_float(self) -> None:
        """Indices and truth values are moved in float models too."""
        (super().check_float if self.outputs[0].dtype == np.float32 else self.check)()

    def channel_ranges(self, inputs: Sequence[Ranges]) -> Ranges | None:
        return repeated(self.inputs[0], self.outputs[0], inputs[0])

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (np.asarray(inputs[0]).reshape(self.outputs[0].shape),)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (batched(inputs[0], self.inputs[0], self.outputs[0].shape),)
