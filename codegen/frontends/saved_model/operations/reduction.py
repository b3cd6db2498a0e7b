"""Reductions along axes."""

from __future__ import annotations

from driftc.codegen.frontends.saved_model.operation import Operation
from driftc.codegen.frontends.saved_model.walk import operation
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.reduction.arg_max import ArgMax
from driftc.codegen.operators.reduction.arg_min import ArgMin
from driftc.codegen.operators.reduction.mean import Mean
from driftc.codegen.operators.reduction.reduce_max import ReduceMax
from driftc.codegen.operators.reduction.reduce_min import ReduceMin
from driftc.codegen.operators.reduction.sum import Sum
from driftc.codegen.tensor import Tensor

KINDS: dict[str, type[Operator]] = {"Max": ReduceMax, "Mean": Mean, "Min": ReduceMin, "Sum": Sum}


@operation(*KINDS)
def reduce(found: Operation) -> Tensor:
    """Along constant axes."""
    x, axes, keep = found.value(0), sorted(_axes(found)), bool(found.node.get_attr("keep_dims"))
    if found.kind == "Max" and len(x.shape) == 4 and axes == [1, 2]:  # as a pooling, whose kernels are faster
        y = found.to.pool(found.label, x, "max", (x.shape[1], x.shape[2]), (1, 1), "valid")
        return y if keep else found.to.reshape(f"{found.label}/flat", y, (1, x.shape[3]))
    return found.to.reduce(KINDS[found.kind], found.label, x, axes, keep)


@operation("Prod")
def product(found: Operation) -> Tensor:
    """Of up to 32 elements, along constant axes."""
    return found.to.product(found.label, found.value(0), sorted(_axes(found)), bool(found.node.get_attr("keep_dims")))


@operation("ArgMax", "ArgMin")
def arg(found: Operation) -> Tensor:
    """At the end of a model; int32."""
    kind = ArgMax if found.kind == "ArgMax" else ArgMin
    return found.to.arg(kind, found.label, found.value(0), int(found.constant(1)) % len(found.value(0).shape))


def _axes(found: Operation) -> list[int]:
    return [int(n) % len(found.value(0).shape) for n in found.constant(1).reshape(-1)]
