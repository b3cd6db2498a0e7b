"""Live producers: layers with weights that also give sums and sums of squares of their exact int32 accumulators.

The first output is the layer before normalisation and activation: int8 or int16 with one scale a channel and zero
point 0, or the int32 accumulators themselves. ADAPT_AFFINE turns it into what the next layer expects.
codegen/adaptation makes them; no model file holds one.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import INT32_MAX
from driftc.codegen.operators.attributes import Activation
from driftc.codegen.operators.base import Box, Operator, Tiling
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.convolution.weighted import Int64, Weighted
from driftc.codegen.tensor import Array, Quantization, Shape, Tensor

PRECISIONS = ("int8", "int16", "int32")  # of the values before normalisation
LARGEST_MAP = 1 << 15  # pixels; the square of a remainder by them fits int32


@dataclass(frozen=True, eq=False, kw_only=True)
class Live(Weighted):
    """Mixed into a layer with weights. Outputs: values; `sums`, int32 (int64 where they may need it); `squares`, int64.

    Worst case: with n pixels and accumulators up to L, |sums| <= n L and squares <= n L^2; both are checked to fit.
    """

    tiling: ClassVar[Tiling] = Tiling.CHANNELS  # the statistics are of every pixel
    per_channel: ClassVar[bool] = True

    @property
    def epilogue(self) -> str:
        return "statistics"

    @property
    def in_int8(self) -> bool:
        return self.outputs[0].dtype == np.int8

    @cached_property
    def factor(self) -> Int64:
        """`real_multiplier` in Q.32, per channel: below 2^31, since one int8 step is two units of the sums or more."""
        return np.asarray(np.rint(self.real_multiplier * 2.0**32), np.int64)

    def scaled(self, sums: Int64) -> Int64:
        """int8: no reference rounds these values, so they are rounded once: the high word of a product below 2^62."""
        return np.asarray((sums * self.factor + (1 << 31)) >> 32, np.int64) if self.in_int8 else super().scaled(sums)

    def scale_constants(self) -> dict[str, Array]:
        if self.in_int8:
            return {"multiplier": self.factor.astype(np.int32)}
        return {} if self.outputs[0].dtype == np.int32 else super().scale_constants()

    @property
    def zero_out(self) -> int:
        return 0

    @property
    def real_multiplier(self) -> NDArray[np.float64]:
        quantization = self.outputs[0].quantization
        assert quantization is not None
        scales = np.float64(self.inputs[0].scale) * self.quantization.scale.astype(np.float64)
        return np.asarray(scales / quantization.scale.astype(np.float64))

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return (self.inputs[0],)

    @property
    def pixels(self) -> int:
        height, width, _ = self.outputs[0].hwc
        return height * width

    def infer(self) -> tuple[Shape, ...]:
        return (*super().infer(), (self.channels,), (self.channels,))

    def check(self) -> None:
        super().check()
        problem = unfit(self)
        if problem is not None:
            self.refuse(f"cannot be normalised live: {problem}")
        values, sums, squares = self.outputs
        if values.dtype.name not in PRECISIONS:
            self.refuse(f"values before normalisation are {values.dtype.name}")
        if self.in_int8 and (self.factor.min() < 0 or self.factor.max() >= 2**31):
            self.refuse("a step of its int8 values is less than two units of its sums")
        if values.dtype == np.int16 and np.any(self.multiplier.shift > 0):
            self.refuse("would have to scale its sums up")
        if sums.dtype != sums_type(self) or squares.dtype != np.int64:
            self.refuse(f"statistics are {sums.dtype.name} and {squares.dtype.name}")

    def summary(self) -> str:
        return f"{super().summary()} and the statistics of its sums"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        accumulators = self.accumulate(inputs[0])
        sums, squares = statistics(accumulators)
        kind = self.outputs[0].dtype
        scaled = accumulators if kind == np.int32 else np.clip(self.scaled(accumulators), *self.range)
        values = scaled.astype(kind).reshape(self.outputs[0].shape)
        return values, sums.astype(self.outputs[1].dtype), squares

    def part(self, box: Box, reduce: range | None = None) -> Self:
        """All pixels of some channels."""
        if (box.row0, box.row1) != (0, self.outputs[0].hwc[0]) or reduce is not None:
            raise ValueError(f"{self.name}: statistics are of every pixel and of finished sums")
        part = super().part(box)
        channels = slice(box.channel0, box.channel1)
        known = self.outputs[0].quantization
        assert known is not None
        scales = Quantization(known.scale[channels], known.zero_point[channels], known.axis)
        values = replace(part.outputs[0], quantization=scales)
        statistics = (replace(tensor, shape=(box.channel1 - box.channel0,)) for tensor in self.outputs[1:])
        return replace(part, outputs=(values, *statistics))


@dataclass(frozen=True, eq=False, kw_only=True)
class LiveConv2D(Live, Conv2D):
    """CONV_2D with statistics."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LiveDepthwiseConv2D(Live, DepthwiseConv2D):
    """DEPTHWISE_CONV_2D with statistics."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LiveFullyConnected(Live, FullyConnected):
    """FULLY_CONNECTED over the pixels of a map, with statistics."""

    tiling: ClassVar[Tiling] = Tiling.NONE


def live(operator: Weighted, bias: Tensor, outputs: tuple[Tensor, Tensor, Tensor]) -> Live:
    """`operator` with another bias and three outputs, its activation left to ADAPT_AFFINE."""
    kinds: dict[type[Weighted], type[Live]] = {
        DepthwiseConv2D: LiveDepthwiseConv2D,
        FullyConnected: LiveFullyConnected,
        Conv2D: LiveConv2D,
    }
    kind = next(made for base, made in kinds.items() if isinstance(operator, base))
    kept = {field.name: getattr(operator, field.name) for field in fields(operator)}
    limits = np.iinfo(outputs[0].dtype)
    bounds = (int(limits.min), int(limits.max))
    changed = {"bias": bias, "outputs": outputs, "activation": Activation.NONE, "bounds": bounds, "litert": False}
    return kind(**{**kept, **changed})


def statistics(accumulators: Int64) -> tuple[Int64, Int64]:
    """Per channel: the sum, and the sum of squares, over all pixels."""
    flat = accumulators.reshape(-1, accumulators.shape[-1])
    return flat.sum(axis=0), np.einsum("pc,pc->c", flat, flat)


def sums_type(operator: Weighted) -> np.dtype[Any]:
    """int32 wherever no input can make a channel's sum, and one number of pixels more, leave it."""
    height, width, _ = operator.outputs[0].hwc
    return np.dtype(np.int32 if height * width * (operator.largest_sum + 1) <= INT32_MAX else np.int64)


def unfit(operator: Operator) -> str | None:
    """Why `operator` cannot become a live producer; None where it can."""
    if not isinstance(operator, Conv2D | DepthwiseConv2D | FullyConnected):
        return f"no statistics are taken of {operator.kind}"
    height, width, _ = operator.outputs[0].hwc
    if height * width == 1:
        return "its map is 1 x 1: one value has no variance"
    if height * width > LARGEST_MAP:
        return f"its map has {height * width:,} pixels, more than {LARGEST_MAP:,}"
    if height * width * (operator.largest_sum + 1) ** 2 >= 2**62:
        return "the sum of its squared accumulators can overflow int64"
    return None


def recentred(operator: Weighted, centre: Int64) -> Tensor:
    """The bias, less `centre` (int64, in units of the accumulators) in each channel."""
    data = operator.raw_bias - centre
    if np.abs(data).max(initial=0) > INT32_MAX:
        operator.refuse("the bias without the source mean leaves int32")
    kept = operator.bias or Tensor(f"{operator.name}/bias", data.shape, np.dtype(np.int32))
    return replace(kept, data=data.astype(np.int32), shape=data.shape, dtype=np.dtype(np.int32))
