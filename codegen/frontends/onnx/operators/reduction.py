"""Reductions along axes."""

from __future__ import annotations

from functools import partial

from driftc.codegen.frontends.axes.pooling import Reduction
from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.frontends.onnx.node import Node
from driftc.codegen.frontends.onnx.walk import operator
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.reduction.arg_max import ArgMax
from driftc.codegen.operators.reduction.arg_min import ArgMin
from driftc.codegen.operators.reduction.mean import Mean
from driftc.codegen.operators.reduction.reduce_max import ReduceMax
from driftc.codegen.operators.reduction.reduce_min import ReduceMin
from driftc.codegen.operators.reduction.sum import Sum

KINDS: dict[str, type[Operator]] = {
    "ReduceMax": ReduceMax,
    "ReduceMean": Mean,
    "ReduceMin": ReduceMin,
    "ReduceSum": Sum,
}


@operator(*KINDS)
def reduce(node: Node) -> Value:
    return _reduced(node, KINDS[node.kind], node.label, node.value(0))


@operator("ReduceSumSquare")
def sum_of_squares(node: Node) -> Value:
    x = node.value(0)
    return _reduced(node, Sum, node.label, node.to.binary(f"{node.label}/square", Mul, x, x))


@operator("ReduceL1", "ReduceL2")
def norm(node: Node) -> Value:
    return _along(node, partial(node.to.builder.norm, order=1 if node.kind == "ReduceL1" else 2))


@operator("ReduceProd")
def product(node: Node) -> Value:
    """Of up to 32 elements."""
    return _along(node, node.to.builder.product)


@operator("ReduceLogSumExp")
def log_sum_exp(node: Node) -> Value:
    return _along(node, node.to.builder.log_sum_exp)


@operator("ReduceLogSum")
def log_sum(node: Node) -> Value:
    return node.to.activation(node.label, _reduced(node, Sum, f"{node.label}/sum", node.value(0)), "log")


@operator("ArgMax", "ArgMin")
def arg(node: Node) -> Value:
    """At the end of a model, with keepdims=0; int32."""
    if node.attribute("select_last_index", 0):
        node.refuse("takes the last of equal values; driftc takes the first")
    kind = ArgMax if node.kind == "ArgMax" else ArgMin
    return node.to.arg(
        kind, node.label, node.value(0), int(node.attribute("axis", 0)), bool(node.attribute("keepdims", 1))
    )


@operator("CumSum")
def cumsum(node: Node) -> Value:
    flags = (bool(node.attribute(name, 0)) for name in ("exclusive", "reverse"))
    return node.to.cumsum(node.label, node.value(0), int(node.constant(1).reshape(-1)[0]), *flags)


def _reduced(node: Node, kind: type[Operator], label: str, x: Value) -> Value:
    return _along(node, partial(node.to.builder.reduce, kind), label, x)


def _along(node: Node, reduce: Reduction, label: str = "", x: Value | None = None) -> Value:
    x = x or node.value(0)
    axes = node.integers(1, "axes")
    if not axes and node.attribute("noop_with_empty_axes", 0):
        return x
    return node.to.along(
        label or node.label, x, axes or list(range(x.rank)), bool(node.attribute("keepdims", 1)), reduce
    )
