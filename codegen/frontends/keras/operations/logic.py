"""Comparisons and what is done with truth values, which int8 models hold as bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from driftc.codegen.frontends.blocks.logic import COMPARISONS
from driftc.codegen.frontends.keras.operations.arithmetic import operands
from driftc.codegen.frontends.keras.walk import Walk, operation
from driftc.codegen.operators.elementwise.logical_and import LogicalAnd
from driftc.codegen.operators.elementwise.logical_or import LogicalOr
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.elementwise.not_equal import NotEqual
from driftc.codegen.tensor import Tensor


@operation(*COMPARISONS)
def compare(walk: Walk, of: Any, a: Any, b: Any) -> Tensor:
    """Of real values."""
    x, y = operands(walk, of, a, b)
    return walk.builder.binary(of.name, COMPARISONS[type(of).__name__], x, y)


@operation("LogicalAnd", "LogicalOr", "LogicalXor")
def logical(walk: Walk, of: Any, a: Any, b: Any) -> Tensor:
    """Of two computed truth values."""
    if not isinstance(a, Tensor) or not isinstance(b, Tensor):
        walk.refuse(of, "has a constant operand; driftc reads two computed truth values")
    x, y = (_condition(walk, f"{of.name}/{place}", part) for place, part in enumerate((a, b)))
    if type(of).__name__ == "LogicalXor":
        return walk.builder.differ(of.name, x, y)
    return walk.builder.binary(of.name, LogicalAnd if type(of).__name__ == "LogicalAnd" else LogicalOr, x, y)


@operation("LogicalNot")
def negation(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.negation(of.name, _condition(walk, f"{of.name}/condition", x))


@operation("Where")
def where(walk: Walk, of: Any, condition: Any, a: Any = None, b: Any = None) -> Tensor:
    """With both values; by a computed condition."""
    if a is None or b is None or not isinstance(condition, Tensor):
        walk.refuse(of, "driftc reads a computed condition and two values; multiply by a constant mask instead")
    x, y = operands(walk, of, a, b)
    return walk.builder.select(of.name, _condition(walk, f"{of.name}/condition", condition), x, y)


@operation("Tril", "Triu")
def triangle(walk: Walk, of: Any, x: Tensor) -> Tensor:
    ones = np.ones(x.shape[-2:])
    mask = np.tril(ones, of.k) if type(of).__name__ == "Tril" else np.triu(ones, of.k)
    return walk.builder.binary(of.name, Mul, x, walk.builder.constant(f"{of.name}/mask", mask))


def _condition(walk: Walk, label: str, x: Tensor) -> Tensor:
    return x if x.dtype == np.bool_ else walk.builder.compared(label, NotEqual, x, 0.0)
