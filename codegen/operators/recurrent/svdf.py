"""SVDF: a filter of rank r over time, a unit each: the newest features behind those kept, weighted by their age."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import INT32_MAX, Multiplier
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.quantised import float32, requantiser, require_quantised
from driftc.codegen.tensor import Array, Shape, Tensor

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

Int64 = NDArray[np.int64]
BIAS_SCALE = 1e-5  # how far TFLite Micro lets the bias's scale be from that of the sums


@dataclass(frozen=True, eq=False, kw_only=True)
class Svdf(Operator):
    """Inputs: x [batch, in] and the state [batch, filters * memory]; outputs: y [batch, units] and the state after."""

    codes = ("SVDF",)
    template = "svdf"
    compared = "TFLite Micro"
    arithmetic = (
        "The state of each filter moves on by one; the newest value is the int32 product of input and feature weights, "
        "by float32(scale_in * scale_feature / scale_state) as Q0.31 and shift, double rounding, saturated to int8; "
        "then the zero point of the state is added, which wraps (later releases of TFLite Micro add it first). A "
        "unit's int32 sum of its filters' states times time weights and the bias, by float32(scale_state * scale_time "
        "/ scale_out), double rounding, zero point, saturated. A fused activation is not applied, as TFLite Micro does "
        "not either: the output's range has it."
    )

    departures = "LiteRT rounds its two scales otherwise. It is not compared there, and refused with --match litert."

    feature: Tensor  # int8 [filters, in]
    time: Tensor  # int8 [filters, memory]
    bias: Tensor  # int32 [units]
    rank: int

    @property
    def litert_undefined(self) -> str:
        return "LiteRT rounds it otherwise, which driftc does not reproduce"

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        node.require(len(node.inputs) == 5, f"has {len(node.inputs)} inputs, not 5")
        x, feature, time, bias, state = (node.input(place) for place in range(5))
        for place, tensor in ((1, feature), (2, time), (3, bias)):
            node.constant(place)
            node.require(tensor.size > 0, f"'{tensor.label}' is empty: shape {list(tensor.shape)}")
        rank, filters = int(node.options("SVDFOptions").Rank()), feature.shape[0]
        shapes = [tensor.shape for tensor in (x, feature, time, state)]
        node.require(all(len(shape) == 2 for shape in shapes), f"needs tensors of two axes, not {shapes}")
        node.require(rank > 0 and filters % rank == 0, f"rank {rank} does not divide {filters} filters")
        common = node.common(x, state)
        outputs = (*node.outputs, node.update(4))
        return cls(**common | {"outputs": outputs}, feature=feature, time=time, bias=bias, rank=rank)

    # --- shapes ---

    @property
    def filters(self) -> int:
        return self.feature.shape[0]

    @property
    def units(self) -> int:
        return self.filters // self.rank

    @property
    def memory(self) -> int:
        """Values that are kept of each filter."""
        return self.time.shape[1]

    @property
    def batch(self) -> int:
        return self.inputs[0].shape[0]

    def infer(self) -> tuple[Shape, ...]:
        return ((self.batch, self.units), (self.batch, self.filters * self.memory))

    @property
    def macs(self) -> int:
        return self.batch * self.filters * (self.inputs[0].shape[1] + self.memory)

    # --- what the C is made from ---

    @cached_property
    def newest(self) -> Multiplier:
        """Of the products with the feature weights."""
        x, state = self.inputs
        real = float32(lambda: np.float32(x.scale) * np.float32(self.feature.scale) / np.float32(state.scale))
        return requantiser(self, real, self.largest_product)

    @cached_property
    def result(self) -> Multiplier:
        """Of the sums over time."""
        state, y = self.inputs[1], self.outputs[0]
        real = float32(lambda: np.float32(state.scale) * np.float32(self.time.scale) / np.float32(y.scale))
        return requantiser(self, real, self.largest_sum)

    @cached_property
    def largest_product(self) -> int:
        """No sum of products with the feature weights, in any order, exceeds this magnitude."""
        reach = np.abs(self._values(self.feature)).sum(axis=1) * (128 + abs(self.inputs[0].zero_point))
        return int(reach.max())

    @cached_property
    def largest_sum(self) -> int:
        """The same of the sums over time."""
        reach = np.abs(self._values(self.time)).reshape(self.units, -1).sum(axis=1)
        return int((reach * (128 + abs(self.inputs[1].zero_point)) + np.abs(self._bias)).max())

    @property
    def folded_feature(self) -> Int64:
        """-zero_in * sum(feature[f]), so that the C reads raw int8 inputs."""
        return np.asarray(-self.inputs[0].zero_point * self._values(self.feature).sum(axis=1), np.int64)

    @property
    def folded_bias(self) -> Int64:
        """bias[u] - zero_state * sum of its time weights."""
        sums = self._values(self.time).reshape(self.units, -1).sum(axis=1)
        return np.asarray(self._bias - self.inputs[1].zero_point * sums, np.int64)

    @property
    def _bias(self) -> Int64:
        return self._values(self.bias).reshape(-1)

    @staticmethod
    def _values(tensor: Tensor) -> Int64:
        assert tensor.data is not None
        return tensor.data.astype(np.int64)

    def check(self) -> None:
        x, state = self.inputs
        if self.feature.shape[1] != x.shape[1] or self.time.shape[0] != self.filters:
            shapes = [list(tensor.shape) for tensor in (x, self.feature, self.time)]
            self.refuse(f"its input and weights do not fit together: {', '.join(map(str, shapes))}")
        if self.bias.size != self.units:
            self.refuse(f"has {self.bias.size} biases for {self.units} units")
        super().check()
        for tensor in (self.feature, self.time):
            if tensor.dtype != np.int8:
                self.refuse(f"weights '{tensor.label}' are {tensor.dtype.name}; driftc compiles int8 here")
        if self.bias.dtype != np.int32:
            self.refuse(f"bias '{self.bias.label}' must be int32, not {self.bias.dtype.name}")
        require_quantised(self, x, state, self.outputs[0], self.feature, self.time)
        if self.feature.zero_point or self.time.zero_point:
            self.refuse("its weights must have zero point 0")
        wanted = float32(lambda: np.float32(state.scale) * np.float32(self.time.scale))
        if self.bias.quantization is None or abs(self.bias.scale - wanted) >= BIAS_SCALE:
            self.refuse(f"the scale of its bias must be {wanted:g}, that of the sums over time")
        if max(self.largest_product, self.largest_sum) > INT32_MAX:
            self.refuse("sums can overflow int32; the weights or the bias are out of any sensible range")
        _ = self.newest, self.result

    def summary(self) -> str:
        return f"SVDF, {self.units} units of rank {self.rank} over {self.memory} steps"

    # --- specification ---

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        x, before = inputs[0].astype(np.int64), np.asarray(inputs[1])
        products = (x - self.inputs[0].zero_point) @ self._values(self.feature).T
        newest = np.clip(self.newest.apply(products), -128, 127) + self.inputs[1].zero_point  # wraps below
        after = before.reshape(self.batch, self.filters, self.memory)
        after = np.concatenate([after[:, :, 1:], newest[:, :, None].astype(np.int8)], axis=2)
        over_time = (after.astype(np.int64) - self.inputs[1].zero_point) * self._values(self.time)
        sums = over_time.reshape(self.batch, self.units, -1).sum(axis=2) + self._bias
        y = np.clip(self.result.apply(sums) + self.outputs[0].zero_point, -128, 127)
        return y.astype(np.int8), after.reshape(self.outputs[1].shape)
