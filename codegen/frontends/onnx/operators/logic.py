"""Comparisons and what is done with truth values, which int8 models hold as bytes."""

from __future__ import annotations

import numpy as np

from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.frontends.onnx.node import Node
from driftc.codegen.frontends.onnx.walk import operator
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.equal import Equal
from driftc.codegen.operators.elementwise.greater import Greater
from driftc.codegen.operators.elementwise.greater_equal import GreaterEqual
from driftc.codegen.operators.elementwise.less import Less
from driftc.codegen.operators.elementwise.less_equal import LessEqual
from driftc.codegen.operators.elementwise.logical_and import LogicalAnd
from driftc.codegen.operators.elementwise.logical_or import LogicalOr
from driftc.codegen.tensor import Array

COMPARISONS: dict[str, type[Operator]] = {
    "Equal": Equal,
    "Greater": Greater,
    "GreaterOrEqual": GreaterEqual,
    "Less": Less,
    "LessOrEqual": LessEqual,
}


@operator(*COMPARISONS)
def compare(node: Node) -> Value:
    """Of real values."""
    kind = COMPARISONS[node.kind]
    a, b = (node.operand(place) for place in (0, 1))
    for x in (a, b):
        if isinstance(x, Value) and x.tensor.dtype != np.float32:
            node.refuse(f"compares {x.tensor.dtype.name}; driftc compares real values")
    if isinstance(a, Value) and isinstance(b, Value):
        return node.to.binary(node.label, kind, a, b)
    if isinstance(a, Value):
        return node.to.binary_constant(node.label, kind, a, np.atleast_1d(node.constant(1)), first=False)
    assert isinstance(b, Value)
    return node.to.binary_constant(node.label, kind, b, np.atleast_1d(node.constant(0)), first=True)


@operator("And", "Or", "Xor")
def logical(node: Node) -> Value:
    """Of two computed truth values."""
    a, b = node.value(0), node.value(1)
    if node.kind == "Xor":
        return node.to.differ(node.label, a, b)
    return node.to.binary(node.label, LogicalAnd if node.kind == "And" else LogicalOr, a, b)


@operator("Not")
def negation(node: Node) -> Value:
    return node.to.negation(node.label, node.value(0))


@operator("Where")
def where(node: Node) -> Value:
    condition, a, b = (node.operand(place) for place in range(3))
    if isinstance(condition, Value):
        return node.to.where(node.label, condition, a, b)
    return node.to.masked(node.label, condition, a, b)


@operator("Trilu")
def triangle(node: Node) -> Value:
    """With a constant diagonal."""
    x, diagonal = node.value(0), node.optional(1)
    offset = 0 if diagonal is None else int(diagonal.reshape(-1)[0])
    ones: Array = np.ones(x.shape[-2:], np.float32)
    mask = np.triu(ones, offset) if node.attribute("upper", 1) else np.tril(ones, offset)
    return node.to.masked(node.label, mask, x, np.zeros(1, np.float32))
