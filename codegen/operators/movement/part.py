"""PART: some of the input's bytes, one behind the other, under another name and shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from driftc.codegen.operators.movement.move import DTYPES
from driftc.codegen.operators.movement.view import View
from driftc.codegen.operators.ranges import Ranges
from driftc.codegen.tensor import Array, Shape


@dataclass(frozen=True, eq=False, kw_only=True)
class Part(View):
    """As many elements as the output has, from element `first` of the input on; made by the pass `views`."""

    codes = ("PART",)
    in_files = False
    dtypes = DTYPES
    compared: ClassVar[str] = "nothing: it computes nothing"
    arithmetic = "The same bytes under another name."

    first: int

    def infer(self) -> tuple[Shape, ...]:
        return (self.outputs[0].shape,)

    def channel_ranges(self, inputs: Sequence[Ranges]) -> Ranges | None:
        return None

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        y = self.outputs[0]
        return (np.asarray(inputs[0]).reshape(-1)[self.first : self.first + y.size].reshape(y.shape),)
