"""Arithmetic of two operands, either of which may be constant."""

from __future__ import annotations

import numpy as np

from driftc.codegen.frontends.axes.value import Value, in_order
from driftc.codegen.frontends.channels_first import ChannelsFirst
from driftc.codegen.frontends.saved_model.operation import Operation
from driftc.codegen.frontends.saved_model.operations.normalization import decomposed
from driftc.codegen.frontends.saved_model.walk import operation
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.div import Div
from driftc.codegen.operators.elementwise.maximum import Maximum
from driftc.codegen.operators.elementwise.minimum import Minimum
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.elementwise.squared_difference import SquaredDifference
from driftc.codegen.operators.elementwise.sub import Sub
from driftc.codegen.tensor import Array, Tensor


@operation("Add", "AddV2")
def add(found: Operation) -> Tensor:
    return _binary(found, Add)


@operation("Sub")
def sub(found: Operation) -> Tensor:
    return _binary(found, Sub)


@operation("Mul")
def mul(found: Operation) -> Tensor:
    return _binary(found, Mul)


@operation("Maximum")
def maximum(found: Operation) -> Tensor:
    return _binary(found, Maximum)


@operation("Minimum")
def minimum(found: Operation) -> Tensor:
    return _binary(found, Minimum)


@operation("SquaredDifference")
def squared_difference(found: Operation) -> Tensor:
    return _binary(found, SquaredDifference)


@operation("Square")
def square(found: Operation) -> Tensor:
    return found.to.binary(found.label, Mul, found.value(0), found.value(0))


@operation("Neg")
def neg(found: Operation) -> Tensor:
    return found.to.with_number(found.label, Mul, found.value(0), -1.0)


@operation("BatchMatMulV2")
def matmul(found: Operation) -> Tensor:
    """Of two tensors."""
    transposed = bool(found.node.get_attr("adj_x")), bool(found.node.get_attr("adj_y"))
    return found.to.matmul(found.label, found.value(0), found.value(1), transposed)


@operation("Einsum")
def einstein(found: Operation) -> Tensor:
    """Of one or two operands, a letter an axis."""
    to = ChannelsFirst(found.to)
    given: list[Value | Array] = []
    for place, name in enumerate(found.inputs):
        x = found.walk.values.get(name)
        given.append(found.constant(place) if x is None else Value(x, in_order(len(x.shape))))
    equation = found.node.get_attr("equation").decode()
    return to.plain(f"{found.label}/order", to.einsum(found.label, equation, given))


@operation("FloorDiv")
def floor_divide(found: Operation) -> Tensor:
    quotient = found.to.binary(f"{found.label}/quotient", Div, found.operand(0), found.operand(1))
    return found.to.activation(found.label, quotient, "floor")


@operation("RealDiv")
def div(found: Operation) -> Tensor:
    if found.inputs[1] in found.walk.values:
        return _binary(found, Div)
    return found.to.affine(found.label, found.value(0), np.atleast_1d(1 / found.constant(1)), np.zeros(1))


def _binary(found: Operation, kind: type[Operator]) -> Tensor:
    x = found.computed()
    if found.node.name in found.walk.biased and x is not None:
        return x
    normalised = decomposed(found)
    if normalised is not None:
        return normalised
    return found.to.binary(found.label, kind, found.operand(0), found.operand(1))
