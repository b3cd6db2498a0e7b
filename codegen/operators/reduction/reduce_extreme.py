"""Shared by REDUCE_MAX and REDUCE_MIN: raw int8 values, compared as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from driftc.codegen.operators.channelwise import at_corners
from driftc.codegen.operators.quantised import require_same
from driftc.codegen.operators.ranges import Ranges
from driftc.codegen.operators.reduction.reduce import Reduce
from driftc.codegen.tensor import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class ReduceExtreme(Reduce):
    """TFLite `reference/reduce.h`; input and output are quantised alike."""

    template = "reduce_extreme"
    keeps_scale = True
    ufunc: ClassVar[np.ufunc]
    sign: ClassVar[str]  # between a new value and the kept one, in C

    def check(self) -> None:
        super().check()
        require_same(self, self.inputs[0], self.outputs[0])

    def channel_ranges(self, inputs: Sequence[Ranges]) -> Ranges | None:
        return at_corners(self, inputs) if self.by_channel else None

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        found = self.ufunc.reduce(inputs[0], axis=self.axes)
        return (np.asarray(found, np.int8).reshape(self.outputs[0].shape),)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (np.asarray(self.ufunc.reduce(inputs[0], axis=self.axes, keepdims=self.keep_dims), np.float32),)
