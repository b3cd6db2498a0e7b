"""Arithmetic of two operands, either of which may be constant."""

from __future__ import annotations

import numpy as np

from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.frontends.onnx.node import Node
from driftc.codegen.frontends.onnx.walk import operator
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.div import Div
from driftc.codegen.operators.elementwise.maximum import Maximum
from driftc.codegen.operators.elementwise.minimum import Minimum
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


@operator("Max")
def maximum(node: Node) -> Value:
    """Of two or more operands."""
    return _chain(node, Maximum)


@operator("Min")
def minimum(node: Node) -> Value:
    """Of two or more operands."""
    return _chain(node, Minimum)


@operator("Sum")
def total(node: Node) -> Value:
    return _chain(node, Add)


@operator("Neg")
def neg(node: Node) -> Value:
    return node.to.binary_constant(node.label, Mul, node.value(0), np.full(1, -1.0), first=False)


@operator("Pow")
def power(node: Node) -> Value:
    """To the power of 1 to 4, 0.5, -0.5 or -1."""
    exponent = node.constant(1).reshape(-1)
    if exponent.size != 1:
        node.refuse("raises each element to a power of its own")
    return node.to.power(node.label, node.value(0), float(exponent[0]))


@operator("Mean")
def mean(node: Node) -> Value:
    count = np.full(1, 1 / len(node.inputs))
    return node.to.binary_constant(node.label, Mul, _chain(node, Add), count, first=False)


@operator("Div")
def div(node: Node) -> Value:
    if node.inputs[1] in node.walk.values:
        return _binary(node, Div)
    by = np.asarray(node.constant(1), np.float64)
    if not np.all(by):
        node.refuse("divides by zero")
    return node.to.binary_constant(node.label, Mul, node.value(0), 1 / by, first=False)


def _chain(node: Node, kind: type[Operator]) -> Value:
    """Two at a time; constants last. One alone is what it is."""
    found, *values = [node.walk.values[name] for name in node.inputs if name in node.walk.values]
    constants = [node.walk.constants[name] for name in node.inputs if name in node.walk.constants]
    for number, value in enumerate(values, 2):
        found = node.to.binary(f"{node.label}/{number}", kind, found, value)
    for number, data in enumerate(constants, len(values) + 2):
        found = node.to.binary_constant(f"{node.label}/{number}", kind, found, data, first=False)
    return found


def _binary(node: Node, kind: type[Operator]) -> Value:
    a, b = (name in node.walk.values for name in node.inputs)
    if node.output in node.walk.absorbed:
        return node.value(0 if a else 1)
    if a and b:
        return node.to.binary(node.label, kind, node.value(0), node.value(1))
    constant = np.asarray(node.constant(1 if a else 0), np.float32)
    return node.to.binary_constant(node.label, kind, node.value(0 if a else 1), constant, first=not a)
