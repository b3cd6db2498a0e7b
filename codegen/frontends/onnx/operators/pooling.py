"""Pooling, over windows and over everything."""

from __future__ import annotations

from typing import Literal

from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.frontends.axes.window import ceil_padding
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
    kernel = [int(n) for n in node.attribute("kernel_shape", [])]
    stride, dilation = (node.spread(name, len(kernel)) for name in ("strides", "dilations"))
    ceiling = bool(node.attribute("ceil_mode", 0))
    if set(dilation) != {1}:
        node.refuse(f"pools with dilations {dilation}; driftc reads windows without dilation")
    if len([name for name in node.proto.output if name]) > 1:
        node.refuse("gives the places of the largest too, which driftc does not compute")
    around = node.around(x, kernel, stride, dilation)
    if kind == "average":
        counts = bool(node.attribute("count_include_pad", 0))
        return node.to.average(node.label, x, kernel, stride, around, ceiling=ceiling, padding_counts=counts)
    if ceiling:
        around = ceil_padding(around, x.shape[2:], kernel, stride)
    return node.to.pool(node.label, x, kind, kernel, stride, around)


@operator("LpPool")
def power_pool(node: Node) -> Value:
    """Of order 1 or 2."""
    x = node.value(0)
    kernel = [int(n) for n in node.attribute("kernel_shape", [])]
    stride, dilation = (node.spread(name, len(kernel)) for name in ("strides", "dilations"))
    if set(dilation) != {1}:
        node.refuse(f"pools with dilations {dilation}; driftc reads windows without")
    around = node.around(x, kernel, stride, dilation)
    if node.attribute("ceil_mode", 0):
        around = ceil_padding(around, x.shape[2:], kernel, stride)
    return node.to.power_pool(node.label, x, order_of(node), kernel, stride, around)


@operator("GlobalLpPool")
def global_power(node: Node) -> Value:
    """Of order 1 or 2."""
    x = node.value(0)
    return node.to.norm(node.label, x, range(2, x.rank), True, order_of(node))


def order_of(node: Node) -> int:
    """Of a norm."""
    order = int(node.attribute("p", 2))
    if order not in (1, 2):
        node.refuse(f"a norm of order {order}; driftc reads 1 and 2")
    return order


@operator("GlobalAveragePool")
def global_average(node: Node) -> Value:
    x = node.value(0)
    return node.to.mean(node.label, x, range(2, x.rank), True)


@operator("GlobalMaxPool")
def global_max(node: Node) -> Value:
    x = node.value(0)
    ones = [1] * (x.rank - 2)
    return node.to.pool(node.label, x, "max", x.shape[2:], ones, [(0, 0)] * len(ones))
