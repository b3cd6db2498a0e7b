"""Reductions along axes."""

from __future__ import annotations

from driftc.codegen.frontends.onnx.node import Node
from driftc.codegen.frontends.onnx.walk import operator
from driftc.codegen.frontends.value import Value


@operator("ReduceMean")
def reduce_mean(node: Node) -> Value:
    x = node.value(0)
    axes = node.integers(1, "axes") or list(range(x.rank))
    return node.to.mean(node.label, x, axes, bool(node.attribute("keepdims", 1)))
