"""Arithmetic of tensors and constants: `x + 1`, `keras.ops.multiply(a, b)`."""

from __future__ import annotations

from typing import Any

import numpy as np

from driftc.codegen.frontends.keras.layers.convolution import einsum
from driftc.codegen.frontends.keras.walk import Walk, operation
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.div import Div
from driftc.codegen.operators.elementwise.maximum import Maximum
from driftc.codegen.operators.elementwise.minimum import Minimum
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.elementwise.sub import Sub
from driftc.codegen.tensor import Tensor


@operation("Add")
def add(walk: Walk, of: Any, a: Any, b: Any) -> Tensor:
    return _binary(walk, of, Add, a, b)


@operation("Subtract")
def subtract(walk: Walk, of: Any, a: Any, b: Any) -> Tensor:
    return _binary(walk, of, Sub, a, b)


@operation("Multiply")
def multiply(walk: Walk, of: Any, a: Any, b: Any) -> Tensor:
    return _binary(walk, of, Mul, a, b)


@operation("Divide", "TrueDivide")
def divide(walk: Walk, of: Any, a: Any, b: Any) -> Tensor:
    if isinstance(b, Tensor):
        return _binary(walk, of, Div, a, b)
    return _binary(walk, of, Mul, a, 1 / np.asarray(b, np.float64))


@operation("Fmax", "Maximum")
def maximum(walk: Walk, of: Any, a: Any, b: Any) -> Tensor:
    return _binary(walk, of, Maximum, a, b)


@operation("Fmin", "Minimum")
def minimum(walk: Walk, of: Any, a: Any, b: Any) -> Tensor:
    return _binary(walk, of, Minimum, a, b)


@operation("Negative")
def negative(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return _binary(walk, of, Mul, x, -1.0)


@operation("Square")
def square(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return _binary(walk, of, Mul, x, x)


@operation("Power")
def power(walk: Walk, of: Any, x: Any, exponent: Any) -> Tensor:
    """To the power of 1 to 4, 0.5, -0.5 or -1."""
    if isinstance(exponent, Tensor) or np.size(exponent) != 1 or not isinstance(x, Tensor):
        walk.refuse(of, "raises to a power that is a tensor")
    return walk.builder.power(of.name, x, float(np.reshape(exponent, ())))


@operation("Matmul")
def matmul(walk: Walk, of: Any, a: Any, b: Any) -> Tensor:
    """Of tensors of three axes or more; or by a constant matrix."""
    if not isinstance(b, Tensor) and np.ndim(b) == 2:
        return walk.builder.dense(of.name, a, np.asarray(b, np.float32).T, None)
    if not isinstance(a, Tensor) or not isinstance(b, Tensor) or min(len(a.shape), len(b.shape)) < 3:
        walk.refuse(of, "is of operands that driftc does not read: tensors of three axes or more, or a constant matrix")
    return walk.builder.matmul(of.name, a, b)


@operation("FloorDivide")
def floor_divide(walk: Walk, of: Any, a: Any, b: Any) -> Tensor:
    x, y = operands(walk, of, a, b)
    return walk.builder.activation(of.name, walk.builder.binary(f"{of.name}/quotient", Div, x, y), "floor")


@operation("Deg2rad", "Rad2deg")
def angle(walk: Walk, of: Any, x: Tensor) -> Tensor:
    factor = np.pi / 180
    return _binary(walk, of, Mul, x, factor if type(of).__name__ == "Deg2rad" else 1 / factor)


@operation("Logaddexp")
def log_add_exp(walk: Walk, of: Any, a: Any, b: Any) -> Tensor:
    """max(a, b) + log(1 + e^-|a - b|)."""
    to, (x, y) = walk.builder, operands(walk, of, a, b)
    apart = to.activation(f"{of.name}/abs", to.binary(f"{of.name}/apart", Sub, x, y), "abs")
    rest = to.activation(f"{of.name}/rest", to.with_number(f"{of.name}/negated", Mul, apart, -1.0), "exponential")
    largest = to.binary(f"{of.name}/largest", Maximum, x, y)
    return to.binary(of.name, Add, largest, to.activation(f"{of.name}/log", rest, "log1p"))


@operation("Einsum")
def einstein(walk: Walk, of: Any, *given: Any) -> Tensor:
    """Of one or two operands, a letter an axis."""
    return einsum(walk, of.name, of.subscripts, [x if isinstance(x, Tensor) else np.asarray(x) for x in given])


def _binary(walk: Walk, of: Any, kind: type[Operator], a: Any, b: Any) -> Tensor:
    x, y = operands(walk, of, a, b)
    return walk.builder.binary(of.name, kind, x, y)


def operands(walk: Walk, of: Any, *given: Any) -> list[Tensor]:
    """Tensors of real values: numbers become constants, truth values 1 and 0."""
    return [
        walk.builder.as_real(f"{of.name}/{place}", x)
        if isinstance(x, Tensor)
        else walk.builder.constant(f"{of.name}/constant", np.atleast_1d(np.asarray(x)))
        for place, x in enumerate(given)
    ]
