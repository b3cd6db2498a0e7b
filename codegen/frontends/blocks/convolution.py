"""Convolutions and dense layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from driftc.codegen.frontends.blocks.core import Padding, Pair
from driftc.codegen.frontends.blocks.movement import Movement
from driftc.codegen.operators.convolution.batch_matmul import BatchMatmul
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.convolution.transpose_conv import SAME, VALID, TransposeConv
from driftc.codegen.tensor import Array, Tensor


class Convolution(Movement):
    """Layers with weights."""

    def conv(
        self,
        label: str,
        x: Tensor,
        weights: Array,
        bias: Array | None,
        *,
        stride: Pair = (1, 1),
        dilation: Pair = (1, 1),
        padding: Padding = "valid",
        groups: int = 1,
    ) -> Tensor:
        """`weights` [out, kernel rows, kernel pixels, in / groups]; a filter a channel becomes DEPTHWISE_CONV_2D."""
        self._need_image(label, x)
        out, rows, pixels, depth = weights.shape
        if depth * groups != x.shape[3] or out % groups:
            self.refuse(f"'{label}': weights {list(weights.shape)} in {groups} groups do not fit {list(x.shape)}")
        kernel = (rows, pixels)
        x, around = self._padded(label, x, kernel, stride, dilation, padding, 0.0)
        window = {"stride": stride, "dilation": dilation, "padding": around}
        offsets = None if bias is None else self.constant(f"{label}/bias", bias.reshape(-1))
        if groups == x.shape[3] and groups > 1:
            filters = self.constant(f"{label}/weights", weights.reshape(out, rows, pixels).transpose(1, 2, 0)[None])
            return self.add(DepthwiseConv2D, label, x, weights=filters, bias=offsets, **window)
        filters = self.constant(f"{label}/weights", weights)
        return self.add(Conv2D, label, x, weights=filters, bias=offsets, **window)

    def transpose_conv(
        self,
        label: str,
        x: Tensor,
        weights: Array,
        bias: Array | None,
        *,
        stride: Pair = (1, 1),
        dilation: Pair = (1, 1),
        crop: tuple[Pair, Pair] = ((0, 0), (0, 0)),
        groups: int = 1,
    ) -> Tensor:
        """`weights` [out, kernel rows, kernel pixels, in / groups]. `crop` is cut off the whole before and after rows
        and pixels; below 0, that many of the bias alone come after.
        """
        self._need_image(label, x)
        weights = _dilated(_ungrouped(weights, groups), dilation)
        kernel = (weights.shape[1], weights.shape[2])
        whole = [(n - 1) * s + k for n, s, k in zip(x.shape[1:3], stride, kernel, strict=True)]
        wanted = (whole[0] - sum(crop[0]), whole[1] - sum(crop[1]))
        front = (crop[0][0], crop[1][0])
        if min(*wanted, *front) < 0 or weights.shape[3] != x.shape[3]:
            self.refuse(f"'{label}': a transposed convolution of {list(x.shape)} cannot be cropped by {list(crop)}")
        offsets = None if bias is None else self.constant(f"{label}/bias", bias.reshape(-1))
        filters = self.constant(f"{label}/weights", weights)
        given: dict[str, Any] = {"weights": filters, "bias": offsets, "stride": stride}
        counts = tuple(-(-n // s) for n, s in zip(wanted, stride, strict=True))
        if counts == x.shape[1:3] and front == TransposeConv.padded(wanted, kernel, stride, SAME):
            return self.add(TransposeConv, label, x, size=wanted, padding=front, scheme=SAME, **given)
        size = (whole[0] + max(-crop[0][1], 0), whole[1] + max(-crop[1][1], 0))
        y = self.add(TransposeConv, label, x, size=size, padding=(0, 0), scheme=VALID, **given)
        kept = [range(first, first + n) for first, n in zip(front, wanted, strict=True)]
        return self.slice(f"{label}/crop", y, [range(1), *kept, range(y.shape[3])])

    def matmul(self, label: str, a: Tensor, b: Tensor, transposed: tuple[bool, bool] = (False, False)) -> Tensor:
        """Products of the matrices on the last two axes, each `transposed` first; the axes before them broadcast."""
        return self.add(BatchMatmul, label, a, b, adj_x=transposed[0], adj_y=transposed[1])

    def dense(self, label: str, x: Tensor, weights: Array, bias: Array | None) -> Tensor:
        """`weights` [out, in], over the last axis."""
        if x.shape[-1] != weights.shape[1]:
            self.refuse(f"'{label}': weights {list(weights.shape)} do not fit {list(x.shape)}")
        return self.add(
            FullyConnected,
            label,
            x,
            weights=self.constant(f"{label}/weights", weights),
            bias=None if bias is None else self.constant(f"{label}/bias", bias.reshape(-1)),
            keep_dims=len(x.shape) > 2,
        )


def _ungrouped(weights: Array, groups: int) -> Array:
    """The same with a filter over all channels, 0 where its group has none."""
    out, rows, pixels, depth = weights.shape
    found = np.zeros((out, rows, pixels, depth * groups), weights.dtype)
    for group, filters in enumerate(np.split(np.arange(out), groups)):
        found[filters, :, :, group * depth : (group + 1) * depth] = weights[filters]
    return found


def _dilated(weights: Array, dilation: Pair) -> Array:
    """Weights with the zeros that dilation stands for."""
    out, rows, pixels, depth = weights.shape
    found = np.zeros((out, (rows - 1) * dilation[0] + 1, (pixels - 1) * dilation[1] + 1, depth), weights.dtype)
    found[:, :: dilation[0], :: dilation[1]] = weights
    return found
