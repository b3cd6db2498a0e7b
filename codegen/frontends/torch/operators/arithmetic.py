"""Arithmetic of two operands, either of which may be constant."""

from __future__ import annotations

from typing import Any

import numpy as np

from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.frontends.torch.call import Call
from driftc.codegen.frontends.torch.walk import operator
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.div import Div
from driftc.codegen.operators.elementwise.maximum import Maximum
from driftc.codegen.operators.elementwise.minimum import Minimum
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.elementwise.sub import Sub
from driftc.codegen.tensor import Array


@operator("add", "add_")
def add(call: Call) -> Value:
    return _binary(call, Add)


@operator("sub", "sub_")
def sub(call: Call) -> Value:
    return _binary(call, Sub)


@operator("mul", "mul_")
def mul(call: Call) -> Value:
    return _binary(call, Mul)


@operator("fmax", "maximum")
def maximum(call: Call) -> Value:
    return _binary(call, Maximum)


@operator("fmin", "minimum")
def minimum(call: Call) -> Value:
    return _binary(call, Minimum)


@operator("rsub")
def rsub(call: Call) -> Value:
    """The second operand less the first."""
    return _binary(call, Sub, call.args[1], call.args[0])


@operator("neg", "neg_")
def neg(call: Call) -> Value:
    return call.to.binary_constant(call.label, Mul, call.value(), np.full(1, -1.0), first=False)


@operator("square", "square_")
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
    """Not rounded, downwards or towards 0."""
    rounding = call.node.kwargs.get("rounding_mode")
    label = f"{call.label}/quotient" if rounding else call.label
    x, by = call.operand(call.args[0]), call.operand(call.args[1])
    if isinstance(by, Value):
        y = combined(call, Div, x, by, label)
    else:
        if not np.all(by):
            call.refuse("divides by zero")
        y = combined(call, Mul, x, 1 / by.astype(np.float64), label)
    return call.to.activation(call.label, y, rounding) if rounding else y


@operator("floor_divide")
def floor_divide(call: Call) -> Value:
    y = combined(call, Div, call.operand(call.args[0]), call.operand(call.args[1]), f"{call.label}/quotient")
    return call.to.activation(call.label, y, "floor")


@operator("addcmul", "addcdiv")
def added(call: Call) -> Value:
    """x + value * a * b, or a / b."""
    kind = Mul if call.kind == "addcmul" else Div
    product = combined(call, kind, call.operand(call.args[1]), call.operand(call.args[2]), f"{call.label}/product")
    factor = float(call.node.kwargs.get("value", 1))
    if factor != 1:
        product = combined(call, Mul, product, np.full(1, factor), f"{call.label}/value")
    return combined(call, Add, call.operand(call.args[0]), product)


@operator("lerp")
def between(call: Call) -> Value:
    """a + (b - a) * weight."""
    a, b, weight = (call.operand(argument) for argument in call.args[:3])
    way = combined(call, Mul, combined(call, Sub, b, a, f"{call.label}/way"), weight, f"{call.label}/part")
    return combined(call, Add, a, way)


def combined(call: Call, kind: type[Operator], a: Value | Array, b: Value | Array, label: str = "") -> Value:
    """An operator of two operands, of which one may be constant; truth values count as 1 and 0."""
    label = label or call.label
    given = {"a": a, "b": b}
    a, b = (call.to.as_real(f"{label}/{side}", x) if isinstance(x, Value) else x for side, x in given.items())
    if isinstance(a, Value) and isinstance(b, Value):
        return call.to.binary(label, kind, a, b)
    if isinstance(a, Value):
        assert not isinstance(b, Value)
        return call.to.binary_constant(label, kind, a, np.atleast_1d(b), first=False)
    if isinstance(b, Value):
        return call.to.binary_constant(label, kind, b, np.atleast_1d(a), first=True)
    return call.refuse("combines two constants")


def _binary(call: Call, kind: type[Operator], *swapped: Any) -> Value:
    """`alpha` times the second operand."""
    first, second = (call.operand(argument) for argument in swapped or call.args[:2])
    alpha = float(call.argument(2, "alpha", 1))
    if alpha != 1:
        constant = np.full(1, alpha)
        computed = isinstance(second, Value)
        second = combined(call, Mul, second, constant, f"{call.label}/alpha") if computed else second * constant
    return combined(call, kind, first, second)
