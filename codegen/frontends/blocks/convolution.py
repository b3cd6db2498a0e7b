"""Convolutions and dense layers."""

from __future__ import annotations

from driftc.codegen.frontends.blocks.core import Padding, Pair
from driftc.codegen.frontends.blocks.movement import Movement
from driftc.codegen.graph import Array, Tensor
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.convolution.fully_connected import FullyConnected


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
