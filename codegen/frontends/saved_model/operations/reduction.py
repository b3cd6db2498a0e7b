"""Reductions along axes."""

from __future__ import annotations

from driftc.codegen.frontends.saved_model.operation import Operation
from driftc.codegen.frontends.saved_model.walk import operation
from driftc.codegen.graph import Tensor


@operation("Mean")
def mean(found: Operation) -> Tensor:
    return found.to.mean(found.label, found.value(0), _axes(found), bool(found.node.get_attr("keep_dims")))


@operation("Max")
def global_max(found: Operation) -> Tensor:
    """Of the rows and pixels of an image."""
    x, axes = found.value(0), sorted(_axes(found))
    if len(x.shape) != 4 or axes != [1, 2]:
        found.refuse(f"the largest along axes {axes}; driftc reads that of an image")
    y = found.to.pool(found.label, x, "max", (x.shape[1], x.shape[2]), (1, 1), "valid")
    keep = bool(found.node.get_attr("keep_dims"))
    return y if keep else found.to.reshape(f"{found.label}/flat", y, (1, x.shape[3]))


def _axes(found: Operation) -> list[int]:
    return [int(n) % len(found.value(0).shape) for n in found.constant(1).reshape(-1)]
