"""Arithmetic of two operands, either of which may be constant."""

from __future__ import annotations

import numpy as np

from driftc.codegen.frontends.onnx.node import Node
from driftc.codegen.frontends.onnx.walk import operator
from driftc.codegen.frontends.value import Value
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.elementwise.sub import Sub


@operator("Add")
def add(node: Node) -> Value:
    return _binary(node, Add)


@operator("Sub")
def sub(node: Node) -> Value:
    return _binary(node, Sub)


@operator("Mul")
def mul(node: Node) -> Value:
    a, b = node.inputs
    gates = node.walk.gates
    if gates.get(a) == b or gates.get(b) == a:  # as exporters before opset 14 write it
        return node.to.activation(node.label, node.value(1 if gates.get(a) == b else 0), "hard_swish")
    return _binary(node, Mul)


@operator("Div")
def div(node: Node) -> Value:
    by = np.asarray(node.constant(1), np.float64)
    if not np.all(by):
        node.refuse("divides by zero")
    return node.to.binary_constant(node.label, Mul, node.value(0), 1 / by, first=False)


def _binary(node: Node, kind: type[Operator]) -> Value:
    a, b = (name in node.walk.values for name in node.inputs)
    if node.output in node.walk.absorbed:
        return node.value(0 if a else 1)
    if a and b:
        return node.to.binary(node.label, kind, node.value(0), node.value(1))
    constant = np.asarray(node.constant(1 if a else 0), np.float32)
    return node.to.binary_constant(node.label, kind, node.value(0 if a else 1), constant, first=not a)
