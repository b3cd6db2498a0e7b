"""Reductions along axes."""

from __future__ import annotations

from driftc.codegen.frontends.channels_first import Value
from driftc.codegen.frontends.onnx.node import Node
from driftc.codegen.frontends.onnx.walk import operator


@operator("ReduceMean")
def reduce_mean(node: Node) -> Value:
    x = node.value(0)
    axes = node.integers(1, "axes") or list(range(len(x.shape)))
    return node.to.mean(node.label, x, axes, bool(node.attribute("keepdims", 1)))
