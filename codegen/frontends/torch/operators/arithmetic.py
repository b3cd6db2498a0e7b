"""Arithmetic of two operands, either of which may be constant."""

from __future__ import annotations

from typing import Any

import numpy as np

from driftc.codegen.frontends.torch.call import Call
from driftc.codegen.frontends.torch.walk import operator
from driftc.codegen.frontends.value import Value
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.div import Div
from driftc.codegen.operators.elementwise.maximum import Maximum
from driftc.codegen.operators.elementwise.minimum import Minimum
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.elementwise.sub import Sub


@operator("add", "add_")
def add(call: Call) -> Value:
    return _binary(call, Add)


@operator("sub", "sub_")
def sub(call: Call) -> Value:
    return _binary(call, Sub)


@operator("mul", "mul_")
def mul(call: Call) -> Value:
    return _binary(call, Mul)


@operator("maximum")
def maximum(call: Call) -> Value:
    return _binary(call, Maximum)


@operator("minimum")
def minimum(call: Call) -> Value:
    return _binary(call, Minimum)


@operator("rsub")
def rsub(call: Call) -> Value:
    """The second operand less the first."""
    return _binary(call, Sub, call.args[1], call.args[0])


@operator("neg", "neg_")
def neg(call: Call) -> Value:
    return call.to.binary_constant(call.label, Mul, call.value(), np.full(1, -1.0), first=False)


@operator("square")
def square(call: Call) -> Value:
    return call.to.binary(call.label, Mul, call.value(), call.value())


@operator("pow", "pow_")
def power(call: Call) -> Value:
    """To the power of 1 to 4, 0.5, -0.5 or -1."""
    if not isinstance(call.args[1], int | float):
        call.refuse("raises to a power that is a tensor")
    return call.to.power(call.label, call.value(), float(call.args[1]))


@operator("div", "div_")
def div(call: Call) -> Value:
    if isinstance(call.walk.values.get(getattr(call.args[1], "name", "")), Value):
        return _binary(call, Div)
    by = np.atleast_1d(np.asarray(call.constant(call.args[1]), np.float64))
    if call.node.kwargs.get("rounding_mode") or not np.all(by):
        call.refuse("divides by zero or rounds")
    return call.to.binary_constant(call.label, Mul, call.value(), 1 / by, first=False)


def _binary(call: Call, kind: type[Operator], *swapped: Any) -> Value:
    if call.node.kwargs.get("alpha", 1) != 1:
        call.refuse(f"alpha {call.node.kwargs['alpha']} is not supported")
    operands = swapped or call.args[:2]
    a, b = (call.walk.values[x.name] if hasattr(x, "name") else np.asarray(x) for x in operands)
    if isinstance(a, Value) and isinstance(b, Value):
        return call.to.binary(call.label, kind, a, b)
    if isinstance(a, Value):
        return call.to.binary_constant(call.label, kind, a, np.atleast_1d(np.asarray(b)), first=False)
    if isinstance(b, Value):
        return call.to.binary_constant(call.label, kind, b, np.atleast_1d(np.asarray(a)), first=True)
    return call.refuse("combines two constants")
