"""NORM_UPDATE: one step of gradient descent on the masters of a live layer's gains and offsets, in their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from driftc.codegen.arithmetic import Int64
from driftc.codegen.operators.elementwise.powers import POWER_FRACTION
from driftc.codegen.operators.learn.base import Learning, rounded
from driftc.codegen.operators.learn.conv_update import MOST_PIXELS, MOST_SHIFT, down_of
from driftc.codegen.operators.learn.masks import Live, counted
from driftc.codegen.operators.learn.master_sums import LARGEST_BIAS_MASTER, fraction_of
from driftc.codegen.operators.learn.meta_update import Factor
from driftc.codegen.operators.learn.narrow import LESS, ROUNDED, is_narrow, lost
from driftc.codegen.operators.learn.trained_norm import gain_of
from driftc.codegen.tensor import Array, Shape, Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class NormUpdate(Learning):
    """Inputs: masters int32 or int16 [C] of gains, and int32 [C] of offsets; the gains int8 [C] that they stand for; y
    int8 [1, H, W, C], which the layer gave; errors int16, [1, C] where every pixel has the same, or one each; their
    exponent int32 [1]; masks of y, by `live`; where masters are int16 noise, int32 [1].

    Outputs: both masters after the step. By the logarithm of a gain the loss changes by the sum of error * y, y without
    its zero point, and by an offset by the gain times the sum of the errors.
    """

    codes = ("NORM_UPDATE",)
    template = "norm_update"
    header = "driftc_norm.h"
    arithmetic = (
        "Exact sums over the pixels, but for values that were clamped: G of error * (y - zero), E of the error, int64. "
        "A gain's master loses G * gain / 2^(shift - exponent), int64, rounded, halves upwards, and stays within +-127 "
        "* 2^16; an offset's E' * offset / 2^(shift - exponent), alike, and stays within +-2^30, where E' is E * F / "
        "2^16, rounded, F as in TRAINED_NORM. Shifts are from 1 to 62. " + ROUNDED
    )

    learns: str  # the layer, by name
    live: Live  # of each mask
    gain: Factor  # a mantissa, 0 to 2^15, and a shift
    offset: Factor
    slope: tuple[float, float]  # the loss by the real parameters, for each unit of G and of E'

    @property
    def channels(self) -> int:
        return self.inputs[0].size

    @property
    def narrow(self) -> bool:
        return is_narrow(self.inputs[0])

    @property
    def largest(self) -> int:
        """Master of a gain."""
        return 127 << fraction_of(self.inputs[0])

    @property
    def pixels(self) -> int:
        return self.inputs[3].size // self.channels

    @property
    def alike(self) -> bool:
        """Every pixel has the same error."""
        return self.inputs[4].size == self.channels

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return (*self.inputs[2:4], *self.inputs[6 : len(self.inputs) - self.narrow])

    @property
    def macs(self) -> int:
        return self.inputs[3].size

    def check(self) -> None:
        super().check()
        fits = all(0 <= mantissa <= 1 << 15 and 1 <= shift <= 62 for mantissa, shift in (self.gain, self.offset))
        if not fits or self.pixels > MOST_PIXELS:
            self.refuse("the learning rate is out of any sensible range for its scales; --learn-rate decides it")

    def infer(self) -> tuple[Shape, ...]:
        return (self.inputs[0].shape, self.inputs[1].shape)

    def summary(self) -> str:
        return "a step against the gradient of a normalisation"

    def sums(self, gains: Array, y: Array, errors: Array, masks: Sequence[Array]) -> tuple[Int64, Int64]:
        """G and E', int64 [C]."""
        shape = (self.pixels, self.channels)
        e = np.broadcast_to(np.asarray(errors, np.int64).reshape(-1, self.channels), shape)
        e = counted(e, self.live, masks[: len(self.live)])
        values = np.asarray(y, np.int64).reshape(shape) - self.inputs[3].zero_point
        return (e * values).sum(axis=0), rounded(e.sum(axis=0) * gain_of(gains), POWER_FRACTION)

    def squared_length(self, *inputs: Array) -> float:
        """Of the gradient by the layer's real parameters."""
        _, _, gains, y, errors, exponent, *masks = inputs
        pairs = zip(self.sums(gains, y, errors, masks), self.slope, strict=True)
        return float(sum(((sums * slope) ** 2).sum() for sums, slope in pairs)) * 4.0 ** int(exponent.reshape(-1)[0])

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        masters, offsets, gains, y, errors, exponent, *masks = inputs
        found, total = self.sums(gains, y, errors, masks)
        power = int(exponent.reshape(-1)[0])
        products, down = found * self.gain[0], down_of(self.gain[1], power)
        moved = rounded(products, down) if not self.narrow else lost(products, min(down + LESS, MOST_SHIFT), inputs[-1])
        shifted = rounded(total * self.offset[0], down_of(self.offset[1], power))
        return (
            np.clip(masters - moved, -self.largest, self.largest).astype(self.inputs[0].dtype),
            np.clip(offsets - shifted, -LARGEST_BIAS_MASTER, LARGEST_BIAS_MASTER).astype(np.int32),
        )
