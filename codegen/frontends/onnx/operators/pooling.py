"""Pooling, over windows and over everything."""

from __future__ import annotations

from typing import Literal

from driftc.codegen.frontends.channels_first import Value, ceil_padding
from driftc.codegen.frontends.onnx.node import Node
from driftc.codegen.frontends.onnx.walk import operator


@operator("MaxPool")
def max_pool(node: Node) -> Value:
    return _pool(node, "max")


@operator("AveragePool")
def average_pool(node: Node) -> Value:
    return _pool(node, "average")


def _pool(node: Node, kind: Literal["max", "average"]) -> Value:
    x = node.value(0)
    sizes = [int(n) for n in node.attribute("kernel_shape", [])]
    ceiling = bool(node.attribute("ceil_mode", 0))
    if len(sizes) != 2 or node.pair("dilations") != (1, 1) or (ceiling and kind == "average"):
        node.refuse(f"windows of {sizes}, dilated or averaging in ceil_mode: not supported")
    kernel, stride = (sizes[0], sizes[1]), node.pair("strides")
    around = node.around(x, kernel, stride, (1, 1))
    if kind == "average" and not node.attribute("count_include_pad", 0):
        return node.to.average_uncounted(node.label, x, kernel, stride, around)
    if ceiling:
        around = ceil_padding(around, x.shape[2:], kernel, stride)
    return node.to.pool(node.label, x, kind, kernel, stride, around)


@operator("GlobalAveragePool")
def global_average(node: Node) -> Value:
    return node.to.mean(node.label, node.value(0), (2, 3), True)


@operator("GlobalMaxPool")
def global_max(node: Node) -> Value:
    x = node.value(0)
    return node.to.pool(node.label, x, "max", (x.shape[2], x.shape[3]), (1, 1), (0, 0, 0, 0))
