"""Arithmetic of two operands, either of which may be constant."""

from __future__ import annotations

import numpy as np

from driftc.codegen.frontends.torch.call import Call
from driftc.codegen.frontends.torch.walk import operator
from driftc.codegen.frontends.value import Value
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.add import Add
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


@operator("div", "div_")
def div(call: Call) -> Value:
    by = np.atleast_1d(np.asarray(call.constant(call.args[1]), np.float64))
    if call.node.kwargs.get("rounding_mode") or not np.all(by):
        call.refuse("divides by zero or rounds")
    return call.to.binary_constant(call.label, Mul, call.value(), 1 / by, first=False)


def _binary(call: Call, kind: type[Operator]) -> Value:
    if call.node.kwargs.get("alpha", 1) != 1:
        call.refuse(f"alpha {call.node.kwargs['alpha']} is not supported")
    a, b = (call.walk.values[a.name] if hasattr(a, "name") else np.asarray(a) for a in call.args[:2])
    if isinstance(a, Value) and isinstance(b, Value):
        return call.to.binary(call.label, kind, a, b)
    if isinstance(a, Value):
        return call.to.binary_constant(call.label, kind, a, np.atleast_1d(np.asarray(b)), first=False)
    if isinstance(b, Value):
        return call.to.binary_constant(call.label, kind, b, np.atleast_1d(np.asarray(a)), first=True)
    return call.refuse("combines two constants")
