"""Pooling over windows."""

from __future__ import annotations

from typing import Literal

from driftc.codegen.frontends.saved_model.operation import Operation
from driftc.codegen.frontends.saved_model.walk import operation
from driftc.codegen.tensor import Tensor


@operation("MaxPool")
def max_pool(found: Operation) -> Tensor:
    return _pool(found, "max")


@operation("AvgPool")
def average_pool(found: Operation) -> Tensor:
    return _pool(found, "average")


def _pool(found: Operation, kind: Literal["max", "average"]) -> Tensor:
    kernel, stride = found.pair("ksize"), found.pair("strides")
    return found.to.pool(found.label, found.value(0), kind, kernel, stride, found.padding())
