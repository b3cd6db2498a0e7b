"""HOLD_ERRORS: the errors at a map, and what holds some of its channels to what they were as compiled."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.learn.base import WithExponent, rounded
from driftc.codegen.operators.learn.masks import Live, counted
from driftc.codegen.tensor import Array, Shape, Tensor

LARGEST_HOLD = 1 << 22
FARTHEST = 1 << 30  # of an error, before it has an exponent


@dataclass(frozen=True, eq=False, kw_only=True)
class HoldErrors(WithExponent):
    """Inputs: errors int16, [1, O] where every pixel has the same, or one each; their exponent int32 [1]; the map int8
    [1, H, W, O], and as it would be compiled; label int32 [1]; masks, by `live`. Outputs: errors int16
    [1, H, W, O] within +-2^14, and their exponent int32 [1].

    LightCL's regulariser (ASP-DAC 2025): the squared distance of the channels that mattered most.
    """

    codes = ("HOLD_ERRORS",)
    template = "hold_errors"
    header = "driftc_learn.h"
    arithmetic = (
        "v = error * 2^exponent, 0 where a mask says that the value was clamped; of a channel that is held (map - "
        "compiled) * hold / 2^shift more, rounded, halves upwards; within +-2^30, int64. The exponent is the least "
        "by which the largest v, shifted right, is below 2^14; each v is shifted by it and rounded, halves upwards. "
        "Where the label is -1, all is 0."
    )

    live: Live  # of each mask
    held: NDArray[np.int8] = field(repr=False)  # [O], 1 for those channels
    hold: int  # 1 to 2^22
    shift: int  # 1 to 46

    @property
    def channels(self) -> int:
        return self.outputs[0].shape[3]

    @property
    def alike(self) -> bool:
        """Every pixel has the same error."""
        return self.inputs[0].size == self.channels and self.inputs[2].size != self.channels

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return (*self.inputs[2:4], *self.inputs[5:])

    def check(self) -> None:
        super().check()
        if not 0 < self.hold <= LARGEST_HOLD or not 1 <= self.shift <= 46:
            self.refuse("--learn-hold is out of any sensible range for its scales")

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[2].shape, (1,))

    def summary(self) -> str:
        return "errors, and what holds channels to what they were"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        errors, exponent, now, compiled, label, *masks = inputs
        shape = now.shape
        e: Int64 = np.broadcast_to(
            np.asarray(errors, np.int64).reshape(-1, self.channels), (now.size // self.channels, self.channels)
        ).reshape(shape)
        e = counted(e, self.live, masks)
        away = rounded((now.astype(np.int64) - compiled.astype(np.int64)) * self.hold, self.shift)
        found = np.clip((e << int(exponent.reshape(-1)[0])) + away * self.held, -FARTHEST, FARTHEST)
        if int(label.reshape(-1)[0]) < 0:
            found = 0 * found
        return self.normalized(found, 0)
