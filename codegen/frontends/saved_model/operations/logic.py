"""Comparisons and what is done with truth values, which int8 models hold as bytes."""

from __future__ import annotations

from driftc.codegen.frontends.blocks.logic import COMPARISONS
from driftc.codegen.frontends.saved_model.operation import Operation
from driftc.codegen.frontends.saved_model.walk import operation
from driftc.codegen.operators.elementwise.logical_and import LogicalAnd
from driftc.codegen.operators.elementwise.logical_or import LogicalOr
from driftc.codegen.tensor import Tensor


@operation(*COMPARISONS)
def compare(found: Operation) -> Tensor:
    """Of real values."""
    return found.to.binary(found.label, COMPARISONS[found.kind], found.operand(0), found.operand(1))


@operation("LogicalAnd", "LogicalOr")
def logical(found: Operation) -> Tensor:
    """Of two computed truth values."""
    kind = LogicalAnd if found.kind == "LogicalAnd" else LogicalOr
    return found.to.binary(found.label, kind, found.value(0), found.value(1))


@operation("LogicalNot")
def negation(found: Operation) -> Tensor:
    return found.to.negation(found.label, found.value(0))


@operation("Select", "SelectV2")
def select(found: Operation) -> Tensor:
    """By a computed condition."""
    return found.to.select(found.label, found.value(0), found.operand(1), found.operand(2))


@operation("Cast")
def cast(found: Operation) -> Tensor:
    """Of truth values to real ones."""
    if not found.node.outputs[0].dtype.is_floating:
        found.refuse(f"casts to {found.node.outputs[0].dtype.name}; driftc computes real values")
    return found.to.as_real(found.label, found.value(0))
