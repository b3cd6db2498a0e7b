"""Operators that compute without weights: sums and products, pools, means, functions of an element or a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
from numpy.typing import DTypeLike

from models.core import PADDING, BinaryResult, GraphBuilder, Pair, PoolWindow, Result, pair, window
from models.schema import Activation, OptionValue, Padding, Tensor


class ArithmeticOperators(GraphBuilder):
    def add(self, a: Tensor, b: Tensor, **result: Unpack[BinaryResult]) -> Tensor:
        return self._binary("ADD", "AddOptions", a, b, **result)

    def sub(self, a: Tensor, b: Tensor, **result: Unpack[BinaryResult]) -> Tensor:
        return self._binary("SUB", "SubOptions", a, b, **result)

    def mul(self, a: Tensor, b: Tensor, **result: Unpack[BinaryResult]) -> Tensor:
        return self._binary("MUL", "MulOptions", a, b, **result)

    def average_pool_2d(self, x: Tensor, size: Pair, **options: Unpack[PoolWindow]) -> Tensor:
        return self._pool("AVERAGE_POOL_2D", x, size, **options)

    def max_pool_2d(self, x: Tensor, size: Pair, **options: Unpack[PoolWindow]) -> Tensor:
        return self._pool("MAX_POOL_2D", x, size, **options)

    def mean(
        self,
        x: Tensor,
        axes: Sequence[int],
        *,
        code: str = "MEAN",
        keep_dims: bool = False,
        out_scale: float | None = None,
        out_zero_point: int | None = None,
        name: str | None = None,
    ) -> Tensor:
        reduced = {axis % len(x.shape) for axis in axes}
        kept = [(axis in reduced, extent) for axis, extent in enumerate(x.shape)]
        shape = tuple(1 if gone else extent for gone, extent in kept if keep_dims or not gone)
        y = self.result(name, shape, x, out_scale, out_zero_point)
        axis_tensor = self.constant(list(axes), dtype=np.int32)
        self.operator(code, [x, axis_tensor], [y], "ReducerOptions", version=2, KeepDims=keep_dims)
        return y

    def arg(self, code: str, x: Tensor, axis: int, *, name: str | None = None) -> Tensor:
        """`code`: ARG_MAX or ARG_MIN; int32."""
        place = axis % len(x.shape)
        y = self.tensor(name, (*x.shape[:place], *x.shape[place + 1 :]), dtype=np.int32)
        table = f"{code.title().replace('_', '')}Options"
        self.operator(code, [x, self.constant(axis, dtype=np.int32)], [y], table, version=2, OutputType=2)
        return y

    def softmax(self, x: Tensor, *, beta: float = 1.0, name: str | None = None) -> Tensor:
        y = self.result(name, x.shape, x, 1 / 256, -128)
        self.operator("SOFTMAX", [x], [y], "SoftmaxOptions", version=2, Beta=beta)
        return y

    def log_softmax(self, x: Tensor, *, name: str | None = None) -> Tensor:
        y = self.result(name, x.shape, x, 1 / 16, 127)
        self.operator("LOG_SOFTMAX", [x], [y], "LogSoftmaxOptions", version=2)
        return y

    def l2_normalization(self, x: Tensor, *, name: str | None = None) -> Tensor:
        y = self.result(name, x.shape, x, 1 / 128, 0)
        self.operator("L2_NORMALIZATION", [x], [y], "L2NormOptions", version=2)
        return y

    def logistic(self, x: Tensor, *, name: str | None = None) -> Tensor:
        y = self.result(name, x.shape, x, 1 / 256, -128)
        self.operator("LOGISTIC", [x], [y], version=2)
        return y

    def tanh(self, x: Tensor, *, name: str | None = None) -> Tensor:
        y = self.result(name, x.shape, x, 1 / 128, 0)
        self.operator("TANH", [x], [y], version=2)
        return y

    def relu(self, x: Tensor, **result: Unpack[Result]) -> Tensor:
        return self._unary("RELU", x, version=2, **result)

    def relu6(self, x: Tensor, **result: Unpack[Result]) -> Tensor:
        return self._unary("RELU6", x, version=2, **result)

    def hard_swish(self, x: Tensor, **result: Unpack[Result]) -> Tensor:
        return self._unary("HARD_SWISH", x, "HardSwishOptions", **result)

    def leaky_relu(self, x: Tensor, alpha: float, **result: Unpack[Result]) -> Tensor:
        return self._unary("LEAKY_RELU", x, "LeakyReluOptions", version=2, options={"Alpha": alpha}, **result)

    def cumsum(
        self, x: Tensor, axis: int, *, exclusive: bool = False, reverse: bool = False, **result: Unpack[Result]
    ) -> Tensor:
        y = self.result(result.get("name"), x.shape, x, result.get("out_scale"), result.get("out_zero_point"))
        operands = [x, self.constant(axis, dtype=np.int32)]
        self.operator("CUMSUM", operands, [y], "CumsumOptions", Exclusive=exclusive, Reverse=reverse)
        return y

    def cast(
        self, x: Tensor, dtype: DTypeLike, *, scale: float | None = None, zero_point: int = 0, name: str | None = None
    ) -> Tensor:
        y = self.tensor(name, x.shape, dtype=dtype, scale=scale, zero_point=zero_point)
        self.operator("CAST", [x], [y], "CastOptions")
        return y

    def quantize(
        self,
        x: Tensor,
        *,
        out_scale: float,
        out_zero_point: int = 0,
        dtype: DTypeLike = np.int8,
        name: str | None = None,
    ) -> Tensor:
        """float32, int8 or uint8 to int8, or int8 to uint8."""
        y = self.tensor(name, x.shape, dtype=dtype, scale=out_scale, zero_point=out_zero_point)
        self.operator("QUANTIZE", [x], [y], "QuantizeOptions", version=1 if x.dtype == np.float32 else 2)
        return y

    def dequantize(self, x: Tensor, *, name: str | None = None) -> Tensor:
        y = self.tensor(name, x.shape, dtype=np.float32)
        self.operator("DEQUANTIZE", [x], [y], "DequantizeOptions", version=2)
        return y

    def _binary(
        self,
        code: str,
        table: str,
        a: Tensor,
        b: Tensor,
        *,
        activation: Activation = Activation.NONE,
        out_scale: float | None = None,
        out_zero_point: int | None = None,
        name: str | None = None,
    ) -> Tensor:
        y = self.result(name, np.broadcast_shapes(a.shape, b.shape), a, out_scale, out_zero_point)
        self.operator(code, [a, b], [y], table, version=2, FusedActivationFunction=int(activation))
        return y

    def _pool(
        self,
        code: str,
        x: Tensor,
        size: Pair,
        *,
        stride: Pair | None = None,
        padding: Padding = "VALID",
        activation: Activation = Activation.NONE,
        name: str | None = None,
    ) -> Tensor:
        steps = pair(size if stride is None else stride)
        height, width = window(x.shape, pair(size), steps, (1, 1), padding)
        y = self.result(name, (x.shape[0], height, width, x.shape[3]), x)
        self.operator(
            code,
            [x],
            [y],
            "Pool2DOptions",
            version=2,
            Padding=PADDING[padding],
            StrideH=steps[0],
            StrideW=steps[1],
            FilterHeight=pair(size)[0],
            FilterWidth=pair(size)[1],
            FusedActivationFunction=int(activation),
        )
        return y

    def _unary(
        self,
        code: str,
        x: Tensor,
        table: str | None = None,
        *,
        version: int = 1,
        options: dict[str, OptionValue] | None = None,
        out_scale: float | None = None,
        out_zero_point: int | None = None,
        name: str | None = None,
    ) -> Tensor:
        y = self.result(name, x.shape, x, out_scale, out_zero_point)
        self.operator(code, [x], [y], table, version=version, **(options or {}))
        return y
