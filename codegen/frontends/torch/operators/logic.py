"""Comparisons and what is done with truth values, which int8 models hold as bytes."""

from __future__ import annotations

import numpy as np

from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.frontends.torch.call import Call
from driftc.codegen.frontends.torch.operators.arithmetic import combined
from driftc.codegen.frontends.torch.walk import operator
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.equal import Equal
from driftc.codegen.operators.elementwise.greater import Greater
from driftc.codegen.operators.elementwise.greater_equal import GreaterEqual
from driftc.codegen.operators.elementwise.less import Less
from driftc.codegen.operators.elementwise.less_equal import LessEqual
from driftc.codegen.operators.elementwise.logical_and import LogicalAnd
from driftc.codegen.operators.elementwise.logical_or import LogicalOr
from driftc.codegen.operators.elementwise.not_equal import NotEqual
from driftc.codegen.tensor import Array

COMPARISONS: dict[str, type[Operator]] = {
    "eq": Equal,
    "ge": GreaterEqual,
    "gt": Greater,
    "le": LessEqual,
    "lt": Less,
    "ne": NotEqual,
}


@operator(*COMPARISONS)
def compare(call: Call) -> Value:
    """Of real values."""
    return combined(call, COMPARISONS[call.kind], call.operand(call.args[0]), call.operand(call.args[1]))


@operator("bitwise_and", "bitwise_or", "bitwise_xor", "logical_and", "logical_or", "logical_xor", "__and__", "__or__")
def logical(call: Call) -> Value:
    """Of two computed truth values."""
    a, b = (call.to.condition(f"{call.label}/{n}", call.value(n)) for n in (0, 1))
    if call.kind.endswith("xor"):
        return call.to.differ(call.label, a, b)
    return call.to.binary(call.label, LogicalAnd if "and" in call.kind else LogicalOr, a, b)


@operator("bitwise_not", "logical_not")
def negation(call: Call) -> Value:
    return call.to.negation(call.label, call.to.condition(f"{call.label}/condition", call.value()))


@operator("where")
def where(call: Call) -> Value:
    condition, a, b = (call.operand(argument) for argument in call.args[:3])
    return _chosen(call, condition, a, b)


@operator("masked_fill", "masked_fill_")
def masked_fill(call: Call) -> Value:
    """With a finite value."""
    x, mask, value = (call.operand(argument) for argument in call.args[:3])
    return _chosen(call, mask, value, x)


@operator("tril", "triu")
def triangle(call: Call) -> Value:
    x = call.value()
    ones: Array = np.ones(x.shape[-2:], np.float32)
    mask = (np.tril if call.kind == "tril" else np.triu)(ones, int(call.argument(1, "diagonal", 0)))
    return call.to.masked(call.label, mask, x, np.zeros(1, np.float32))


def _chosen(call: Call, condition: Value | Array, a: Value | Array, b: Value | Array) -> Value:
    if isinstance(condition, Value):
        return call.to.where(call.label, condition, a, b)
    return call.to.masked(call.label, condition, a, b)
