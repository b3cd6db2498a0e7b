"""Operators with weights: CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED."""

from __future__ import annotations

from math import prod
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike

from models.core import PADDING, GraphBuilder, Pair, Result, pair, window
from models.schema import Activation, Array, Padding, Tensor


class WeightedOperators(GraphBuilder):
    def batch_matmul(
        self, a: Tensor, b: Tensor, *, adj_x: bool = False, adj_y: bool = False, **result: Unpack[Result]
    ) -> Tensor:
        """Products of matrices, their leading axes broadcast."""
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        shape = (*batch, a.shape[-1 if adj_x else -2], b.shape[-2 if adj_y else -1])
        y = self.result(result.get("name"), shape, a, result.get("out_scale"), result.get("out_zero_point"))
        self.operator("BATCH_MATMUL", [a, b], [y], "BatchMatMulOptions", version=2, AdjX=adj_x, AdjY=adj_y)
        return y

    def conv_2d(
        self,
        x: Tensor,
        weights: ArrayLike,
        bias: ArrayLike | None = None,
        *,
        weight_scale: ArrayLike,
        stride: Pair = 1,
        dilation: Pair = 1,
        padding: Padding = "SAME",
        activation: Activation = Activation.NONE,
        out_scale: float,
        out_zero_point: int = 0,
        name: str | None = None,
    ) -> Tensor:
        """`weights` int8 [out, height, width, in]; grouped when its `in` divides the input's channels."""
        filters = np.asarray(weights, np.int8)
        height, width = window(x.shape, filters.shape[1:3], pair(stride), pair(dilation), padding)
        y = self.result(name, (x.shape[0], height, width, filters.shape[0]), x, out_scale, out_zero_point)
        self.operator(
            "CONV_2D",
            [x, *self._parameters(x, filters, bias, weight_scale, 0, y.name)],
            [y],
            "Conv2DOptions",
            version=3,
            Padding=PADDING[padding],
            StrideH=pair(stride)[0],
            StrideW=pair(stride)[1],
            DilationHFactor=pair(dilation)[0],
            DilationWFactor=pair(dilation)[1],
            FusedActivationFunction=int(activation),
        )
        return y

    def depthwise_conv_2d(
        self,
        x: Tensor,
        weights: ArrayLike,
        bias: ArrayLike | None = None,
        *,
        weight_scale: ArrayLike,
        stride: Pair = 1,
        dilation: Pair = 1,
        padding: Padding = "SAME",
        activation: Activation = Activation.NONE,
        out_scale: float,
        out_zero_point: int = 0,
        name: str | None = None,
    ) -> Tensor:
        """`weights` int8 [1, height, width, channels * multiplier]."""
        filters = np.asarray(weights, np.int8)
        height, width = window(x.shape, filters.shape[1:3], pair(stride), pair(dilation), padding)
        y = self.result(name, (x.shape[0], height, width, filters.shape[3]), x, out_scale, out_zero_point)
        self.operator(
            "DEPTHWISE_CONV_2D",
            [x, *self._parameters(x, filters, bias, weight_scale, 3, y.name)],
            [y],
            "DepthwiseConv2DOptions",
            version=3,
            Padding=PADDING[padding],
            StrideH=pair(stride)[0],
            StrideW=pair(stride)[1],
            DilationHFactor=pair(dilation)[0],
            DilationWFactor=pair(dilation)[1],
            DepthMultiplier=filters.shape[3] // x.shape[3],
            FusedActivationFunction=int(activation),
        )
        return y

    def transpose_conv(
        self,
        x: Tensor,
        weights: ArrayLike,
        bias: ArrayLike | None = None,
        *,
        weight_scale: ArrayLike,
        size: tuple[int, int] | None = None,
        stride: Pair = 1,
        padding: Padding = "SAME",
        activation: Activation = Activation.NONE,
        out_scale: float,
        out_zero_point: int = 0,
        name: str | None = None,
    ) -> Tensor:
        """`weights` int8 [out, height, width, in]; `size`: rows and pixels of the output, else as Keras has them."""
        filters, steps = np.asarray(weights, np.int8), pair(stride)
        usual = [
            extent * step + (max(kernel - step, 0) if padding == "VALID" else 0)
            for extent, step, kernel in zip(x.shape[1:3], steps, filters.shape[1:3], strict=True)
        ]
        shape = (x.shape[0], *(size or usual), filters.shape[0])
        y = self.result(name, shape, x, out_scale, out_zero_point)
        parameters = self._parameters(x, filters, bias, weight_scale, 0, y.name)
        self.operator(
            "TRANSPOSE_CONV",
            [self.constant(list(shape), dtype=np.int32), parameters[0], x, *parameters[1:]],
            [y],
            "TransposeConvOptions",
            version=4,
            Padding=PADDING[padding],
            StrideH=steps[0],
            StrideW=steps[1],
            FusedActivationFunction=int(activation),
        )
        return y

    def fully_connected(
        self,
        x: Tensor,
        weights: ArrayLike,
        bias: ArrayLike | None = None,
        *,
        weight_scale: ArrayLike,
        weight_zero_point: int = 0,
        activation: Activation = Activation.NONE,
        keep_num_dims: bool = False,
        out_scale: float,
        out_zero_point: int = 0,
        name: str | None = None,
    ) -> Tensor:
        """`weights` int8 [out, in]; several scales quantise per output."""
        matrix = np.asarray(weights, np.int8)
        leading = x.shape[:-1] if keep_num_dims else (prod(x.shape) // matrix.shape[1],)
        y = self.result(name, (*leading, matrix.shape[0]), x, out_scale, out_zero_point)
        self.operator(
            "FULLY_CONNECTED",
            [x, *self._parameters(x, matrix, bias, weight_scale, 0, y.name, weight_zero_point)],
            [y],
            "FullyConnectedOptions",
            version=4 if np.size(weight_scale) == 1 else 12,
            FusedActivationFunction=int(activation),
            KeepNumDims=keep_num_dims,
        )
        return y

    def _parameters(
        self,
        x: Tensor,
        weights: Array,
        bias: ArrayLike | None,
        weight_scale: ArrayLike,
        axis: int,
        name: str,
        weight_zero_point: int = 0,
    ) -> list[Tensor | None]:
        """Weights and bias as constants; the bias takes scale input * weights, its own type for int8 inputs."""
        filters = self.constant(
            weights, scale=weight_scale, zero_point=weight_zero_point, axis=axis, name=f"{name}/weights"
        )
        if bias is None:
            return [filters]
        scales = np.asarray(x.scale, np.float32) * np.asarray(filters.scale, np.float32)
        return [filters, self.constant(bias, dtype=np.int32, scale=scales, name=f"{name}/bias")]
