"""JOINED_ERRORS: the sum of the errors at a tensor that two operators read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.learn.base import WithExponent, rounded
from driftc.codegen.operators.learn.cross_entropy import ONE
from driftc.codegen.operators.learn.masks import Live, counted
from driftc.codegen.tensor import Array, Shape, Tensor

MOST_SHIFT = 30


@dataclass(frozen=True, eq=False, kw_only=True)
class JoinedErrors(WithExponent):
    """Inputs: errors int16, [1, C] where every pixel has the same, or one each, and their exponent int32 [1]; the same
    of the other; masks of the first, then of the other. Outputs: sums int32 [1, H, W, C] and their exponent [1].
    """

    codes = ("JOINED_ERRORS",)
    template = "joined_errors"
    header = "driftc_learn.h"
    arithmetic = (
        "The exponent is the larger of the two. Each error * scale, int32, or 0 where a mask says that the value was "
        "clamped, is shifted right by what its own exponent is below that, at most 30, rounded, "
        "halves upwards; the two are added, within +-2^30."
    )

    shape: Shape  # of the tensor
    live: tuple[Live, Live]  # of each mask of the first, and of the other
    scale: tuple[int, int]  # Q.15, the larger 2^15

    @property
    def alike(self) -> tuple[bool, bool]:
        """Every pixel has the same error, of each of the two."""
        first, second = (self.inputs[n].size == self.shape[-1] for n in (0, 2))
        return first, second

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return self.inputs[4:]

    def check(self) -> None:
        super().check()
        if max(self.scale) != ONE or min(self.scale) < 0:
            self.refuse("the scales of what it joins are out of range")

    def infer(self) -> tuple[Shape, ...]:
        return (self.shape, (1,))

    def summary(self) -> str:
        return "errors of two that read a tensor"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        exponents = [int(inputs[n].reshape(-1)[0]) for n in (1, 3)]
        exponent, channels = max(exponents), self.shape[-1]
        total: Int64 = np.zeros(self.shape, np.int64).reshape(-1, channels)
        masks = inputs[4:]
        for errors, own, live, scale in zip((inputs[0], inputs[2]), exponents, self.live, self.scale, strict=True):
            e: Int64 = np.broadcast_to(np.asarray(errors, np.int64).reshape(-1, channels), total.shape)
            e, masks = counted(e, live, masks[: len(live)]), masks[len(live) :]
            total = total + rounded(e * scale, min(exponent - own, MOST_SHIFT))
        return total.astype(np.int32).reshape(self.shape), np.array([exponent], np.int32)
