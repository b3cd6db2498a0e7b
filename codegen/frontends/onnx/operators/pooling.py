"""Pooling, over windows and over everything."""

from __future__ import annotations

from typing import Literal

from driftc.codegen.frontends.channels_first import ceil_padding
from driftc.codegen.frontends.onnx.node import Node
from driftc.codegen.frontends.onnx.walk import operator
from driftc.codegen.frontends.value import Value


@operator("MaxPool")
def max_pool(node: Node) -> Value:
    return _pool(node, "max")


@operator("AveragePool")
def average_pool(node: Node) -> Value:
    return _pool(node, "average")


def _pool(node: Node, kind: Literal["max", "average"]) -> Value:
    x = node.value(0)
    kernel = [int(n) for n in node.attribute("kernel_shape", [])]
    stride, dilation = (node.spread(name, len(kernel)) for name in ("strides", "dilations"))
    ceiling = bool(node.attribute("ceil_mode", 0))
    if set(dilation) != {1} or (ceiling and kind == "average"):
        node.refuse("pooling dilated or averaging in ceil_mode is not supported")
    around = node.around(x, kernel, stride, dilation)
    if kind == "average" and not node.attribute("count_include_pad", 0):
        return node.to.average_uncounted(node.label, x, kernel, stride, around)
    if ceiling:
        around = ceil_padding(around, x.shape[2:], kernel, stride)
    return node.to.pool(node.label, x, kind, kernel, stride, around)


@operator("GlobalAveragePool")
def global_average(node: Node) -> Value:
    x = node.value(0)
    return node.to.mean(node.label, x, range(2, x.rank), True)


@operator("GlobalMaxPool")
def global_max(node: Node) -> Value:
    x = node.value(0)
    ones = [1] * (x.rank - 2)
    return node.to.pool(node.label, x, "max", x.shape[2:], ones, [(0, 0)] * len(ones))
