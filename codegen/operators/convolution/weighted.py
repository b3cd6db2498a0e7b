"""Shared by operators with weights, bias and an int32 accumulator: CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import INT32_MAX, Multiplier
from driftc.codegen.operators.attributes import Activation, activation_range, float_activation
from driftc.codegen.operators.base import Operator
from driftc.codegen.tensor import Array, Quantization, Tensor

if TYPE_CHECKING:
    from driftc.codegen.operators.ranges import Ranges

Int64 = NDArray[np.int64]
Bools = NDArray[np.bool_]
LARGEST_BIAS = 1 << 28  # in steps; leaves the sum of products room in int32
ALONE = 1 << 20  # the bias in steps where all weights are zero: fine enough, and its square small
SMALLEST_SCALE = 2.0**-40  # of weights that are all zero


@dataclass(frozen=True, eq=False, kw_only=True)
class Weighted(Operator):
    """out = clamp(requantise(bias + sum (in - zero_in) * weights)), weights symmetric (zero point 0)."""

    channel_axis: ClassVar[int] = 0  # of the weights

    weights: Tensor  # int8 (float32 before `quantize`), output channels on `channel_axis`
    bias: Tensor | None = None  # int32 (float32) [output channels]
    activation: Activation = Activation.NONE
    bounds: tuple[int, int] | None = None  # int8 clamp, where a pass fused a clamp; else from `activation`
    rescaled: Multiplier | None = None  # a factor a channel that an update set in place of the scales' own

    # --- what the C is made from ---

    @property
    def channels(self) -> int:
        """Output channels."""
        return self.weights.shape[self.channel_axis]

    @property
    def packed(self) -> bool:
        return self.weights.int4

    @property
    def quantization(self) -> Quantization:
        """Of the weights."""
        if self.weights.quantization is None:
            self.refuse(f"weights '{self.weights.label}' have no quantisation")
        return self.weights.quantization

    @cached_property
    def multiplier(self) -> Multiplier:
        """scale_in * scale_weights / scale_out per output channel (one pair if the weights have one scale)."""
        return self.rescaled or Multiplier.of(self.real_multiplier)

    @property
    def real_multiplier(self) -> NDArray[np.float64]:
        scales = np.float64(self.inputs[0].scale) * self.quantization.scale.astype(np.float64)
        return np.asarray(scales / np.float64(self.outputs[0].scale))

    @property
    def zero_out(self) -> int:
        """Zero point of the output."""
        return self.outputs[0].zero_point

    @cached_property
    def range(self) -> tuple[int, int]:
        """The smallest and largest output value."""
        return self.bounds or activation_range(self.activation, self.outputs[0])

    @cached_property
    def raw_bias(self) -> Int64:
        if self.bias is None or self.bias.data is None:
            return np.zeros(self.channels, np.int64)
        return self.bias.data.reshape(-1).astype(np.int64)

    @cached_property
    def folded_bias(self) -> Int64:
        """bias[oc] - zero_in * sum(weights[oc]), so that the C reads raw int8 inputs."""
        return self.raw_bias - self.inputs[0].zero_point * self._sums(self._data)

    @cached_property
    def largest_sum(self) -> int:
        """No partial sum in the C, in any order, exceeds this magnitude."""
        return int(np.max(np.abs(self.raw_bias) + self.largest_products))

    @property
    def largest_products(self) -> Int64:
        """Of each channel, the same without the bias."""
        return self._sums(np.abs(self._data)) * (128 + abs(self.inputs[0].zero_point))

    @property
    def operands(self) -> tuple[Tensor, ...]:
        return (*self.inputs, self.weights, *((self.bias,) if self.bias is not None else ()))

    @property
    def _data(self) -> Int64:
        assert self.weights.data is not None
        return self.weights.data.astype(np.int64)

    def _sums(self, data: Int64) -> Int64:
        axes = tuple(axis for axis in range(data.ndim) if axis != self.channel_axis)
        return np.asarray(data.sum(axis=axes), np.int64)

    def scale_constants(self) -> dict[str, Array]:
        """`multiplier` and right `shift` per channel, as driftc.h takes them; a single value becomes a literal."""
        found: dict[str, Array] = {
            "multiplier": self.multiplier.value.astype(np.int32),
            "shift": (-self.multiplier.shift).astype(np.int8),
        }
        if self.updatable:
            return {key: np.broadcast_to(data, (self.channels,)).copy() for key, data in found.items()}
        return found

    @property
    def scaler(self) -> str:
        """The function of driftc.h that does it: the short one wherever the sums and shifts allow, as updates must."""
        if self.updatable:
            return "driftc_to_int8"
        shift = -self.multiplier.shift
        short = self.largest_sum < 2**29 and shift.min() >= 1 and shift.max() <= 30
        return "driftc_to_int8" if short else "driftc_to_int8_any"

    def check_float(self) -> None:
        super().check_float()
        for tensor in (self.weights, *((self.bias,) if self.bias else ())):
            if tensor.data is None or tensor.dtype != np.float32:
                self.refuse(f"'{tensor.label}' must be constant float32, not {tensor.dtype.name}")
        if self.bias is not None and self.bias.size != self.channels:
            self.refuse(f"bias '{self.bias.label}' has {self.bias.size} values for {self.channels} channels")

    def check(self) -> None:
        super().check()
        quantization, scales = self.quantization, self.quantization.scale.size
        if self.weights.dtype != np.int8 or self.weights.data is None:
            self.refuse(f"weights '{self.weights.label}' must be constant int8, not {self.weights.dtype.name}")
        if np.any(quantization.zero_point):
            self.refuse(f"weights '{self.weights.label}' must have zero point 0")
        if scales not in (1, self.channels):
            self.refuse(f"weights '{self.weights.label}' have {scales} scales for {self.channels} channels")
        if scales > 1 and quantization.axis != self.channel_axis:
            self.refuse(f"weights '{self.weights.label}' are quantised along axis {quantization.axis}")
        if self.bias is not None:
            if self.bias.data is None or self.bias.dtype != np.int32:
                self.refuse(f"bias '{self.bias.label}' must be constant int32, not {self.bias.dtype.name}")
            if self.bias.size != self.channels:
                self.refuse(f"bias '{self.bias.label}' has {self.bias.size} values for {self.channels} channels")
        if self.largest_sum > INT32_MAX:
            self.refuse("sums can overflow int32; the weights or the bias are out of any sensible range")
        _ = self.range
        try:
            self.scale_constants()
        except ValueError as problem:
            self.refuse(f"requantisation: {problem}")

    def slice_channels(self, data: Array, channels: slice | NDArray[np.int64], keep_bias: bool) -> dict[str, Any]:
        """`weights` and `bias` of a part of the operator: `data` are its weights, `channels` its output channels."""
        quantization = self.quantization
        if quantization.scale.size > 1:
            axis = quantization.axis
            quantization = Quantization(quantization.scale[channels], quantization.zero_point[channels], axis)
        bias = self.bias if keep_bias else None
        if bias is not None and bias.data is not None:
            part = bias.data.reshape(-1)[channels]
            bias = replace(bias, data=part, shape=part.shape)
        weights = replace(self.weights, data=data, shape=data.shape, quantization=quantization)
        rescaled = None if self.rescaled is None else self.rescaled[channels]
        return {"weights": weights, "bias": bias, "rescaled": rescaled}

    # --- channels that are constant ---

    @property
    def channel_taps(self) -> Int64 | None:
        """The weights as [output channels, taps, channels of the input that they read]; None: nothing is proven."""
        return None

    def cut_weights(self, there: Bools, made: Bools) -> Array:
        """The weights of some channels of the input and of the output, laid out as they are."""
        raise NotImplementedError

    @property
    def reads_padding(self) -> bool:
        """Whether a window may read beyond the input, where it meets zeros."""
        return False

    def channel_ranges(self, inputs: Sequence[Ranges]) -> Ranges | None:
        """From the least and the greatest sum of each channel: scaling, rounding and clamping keep their order.

        Not where a factor above 1 can take a sum out of int32: it wraps.
        """
        taps = self.channel_taps
        if taps is None:
            return None
        low, high = (bound - self.inputs[0].zero_point for bound in inputs[0])
        if taps.shape[2] != len(low):  # each output channel reads one channel
            low, high = (np.repeat(bound, self.channels // len(bound))[:, None] for bound in (low, high))
        if self.reads_padding:
            low, high = np.minimum(low, 0), np.maximum(high, 0)
        rising, falling = np.maximum(taps, 0).sum(axis=1), np.minimum(taps, 0).sum(axis=1)
        least = self.raw_bias + (rising * low + falling * high).sum(axis=1)
        most = self.raw_bias + (rising * high + falling * low).sum(axis=1)
        sums = np.stack([least, most])
        if np.abs(sums << np.maximum(self.multiplier.shift, 0)).max() >= 2**31:
            return None
        bounds = self.requantise(sums).astype(np.int64)
        return bounds[0], bounds[1]

    def on_channels(
        self, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], there: Bools, made: Bools, values: Int64
    ) -> Self:
        """The operator from `inputs` to `outputs`, which have the channels that are `there` and `made` alone.

        Channel c of the input that is not there holds values[c], unless no channel that is made depends on it.
        """
        changes = self.slice_channels(self.cut_weights(there, made), np.flatnonzero(made), keep_bias=True)
        taps = self.channel_taps
        if taps is not None and taps.shape[2] == len(there) and not there.all():
            gone = taps[made].sum(axis=1)[:, ~there] * (values[~there] - self.inputs[0].zero_point)
            total = (self.raw_bias[made] + gone.sum(axis=1)).astype(np.int32)
            changes["bias"] = replace(self.bias or self._no_bias(), shape=total.shape, data=total)
        return replace(self, inputs=inputs, outputs=outputs, **changes)

    def settled(self, constant: Bools, values: Int64) -> Self:
        """The same with no weights where a channel of the output is `constant`: its bias alone makes values[c].

        Such channels often have biases and scales that no other has, and that only the slowest arithmetic can take.
        """
        quantization = self.quantization
        if quantization.scale.size != self.channels or not constant.any() or self.weights.data is None:
            return self
        steady = np.float32(np.float64(self.outputs[0].scale) / np.float64(self.inputs[0].scale) / 4)
        scale = np.where(constant, steady, quantization.scale).astype(np.float32)
        shape = [1] * self.weights.data.ndim
        shape[self.channel_axis] = self.channels
        data = np.where(constant.reshape(shape), np.int8(0), self.weights.data)
        total = np.where(constant, 4 * (values - self.zero_out), self.raw_bias).astype(np.int32)
        bias = self.bias or self._no_bias()
        weights = replace(
            self.weights, data=data, quantization=Quantization(scale, quantization.zero_point, quantization.axis)
        )
        made = replace(self, weights=weights, bias=replace(bias, shape=total.shape, data=total))
        held = made.requantise(total.astype(np.int64)[np.newaxis])[0]
        return made if np.array_equal(held[constant], values[constant]) else self

    def _no_bias(self) -> Tensor:
        name = f"{self.name}/bias"
        return Tensor(name, (self.channels,), np.dtype(np.int32), None, np.zeros(self.channels, np.int32), name)

    # --- specification ---

    def accumulate(self, x: Array) -> Int64:
        """The int32 sums [..., channels], bias included, before requantisation."""
        raise NotImplementedError

    def scaled(self, sums: Int64) -> Int64:
        """The sums times the real multiplier, rounded."""
        return self.multiplier.apply(sums)

    def requantise(self, sums: Int64) -> NDArray[np.int8]:
        """Scale, round, add the zero point, clamp."""
        low, high = self.range
        scaled = self.scaled(sums) + self.zero_out
        return np.clip(scaled, low, high).astype(np.int8)

    def accumulate_many(self, x: Array) -> Int64:
        """`accumulate` of n samples [n, ...], in the float that holds every sum exactly."""
        exact = np.float32 if self.largest_sum < 1 << 24 else np.float64
        assert self.weights.data is not None
        real = replace(self, weights=replace(self.weights, data=self.weights.data.astype(exact)))
        sums = real.float_sums(x.astype(exact) - self.inputs[0].zero_point)
        return sums.astype(np.int64) + self.raw_bias

    def float_sums(self, x: Array) -> Array:
        """`accumulate` on real values, n samples at a time, without the bias, in the precision of `x`."""
        raise NotImplementedError

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        sums = self.float_sums(inputs[0])
        if self.bias is not None and self.bias.data is not None:
            sums += self.bias.data
        return (float_activation(self.activation, sums),)

    def quantized(self, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Self:
        """Weights symmetric with a scale per output channel, bias in int32 at scale_in * scale_weights."""
        assert self.weights.data is not None
        weights = np.moveaxis(self.weights.data.astype(np.float64), self.channel_axis, -1)
        bias = np.zeros(self.channels) if self.bias is None or self.bias.data is None else self.bias.data
        largest = np.abs(weights).reshape(-1, self.channels).max(axis=0)
        most = np.where(largest > 0, LARGEST_BIAS, ALONE)
        room = np.abs(bias) / (inputs[0].scale * most)  # a channel of tiny weights must still hold its bias
        scale = np.maximum(np.maximum(largest / 127, room), SMALLEST_SCALE).astype(np.float32)
        steps = np.clip(np.rint(weights / scale), -127, 127).astype(np.int8)
        factors = np.float64(inputs[0].scale) * scale
        integers = np.rint(bias / factors).astype(np.int32)
        zeros = np.zeros(self.channels, np.int64)
        label = self.bias.label if self.bias else f"{self.weights.label}/bias"
        return replace(
            self,
            inputs=inputs,
            outputs=outputs,
            weights=replace(
                self.weights,
                dtype=np.dtype(np.int8),
                data=np.ascontiguousarray(np.moveaxis(steps, -1, self.channel_axis)),
                quantization=Quantization(scale, zeros, self.channel_axis),
            ),
            bias=Tensor(
                f"{self.name}/bias",
                integers.shape,
                np.dtype(np.int32),
                Quantization(factors.astype(np.float32), zeros, 0),
                integers,
                label,
            ),
        )

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (self.requantise(self.accumulate(inputs[0])).reshape(self.outputs[0].shape),)
