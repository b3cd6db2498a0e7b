"""Reductions along axes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.frontends.torch.call import Call
from driftc.codegen.frontends.torch.walk import operator
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.reduction.arg_max import ArgMax
from driftc.codegen.operators.reduction.arg_min import ArgMin
from driftc.codegen.operators.reduction.mean import Mean
from driftc.codegen.operators.reduction.reduce_max import ReduceMax
from driftc.codegen.operators.reduction.reduce_min import ReduceMin
from driftc.codegen.operators.reduction.sum import Sum

KINDS: dict[str, type[Operator]] = {"amax": ReduceMax, "amin": ReduceMin, "mean": Mean, "sum": Sum}
PAIRS: dict[str, tuple[type[Operator], type[Operator]]] = {"max": (ReduceMax, ArgMax), "min": (ReduceMin, ArgMin)}


@operator(*KINDS)
def reduce(call: Call) -> Value:
    keep = bool(call.argument(2, "keepdim", False))
    x = call.to.as_real(f"{call.label}/real", call.value())
    return call.to.reduce(KINDS[call.kind], call.label, x, _axes(call, 1), keep)


@operator(*PAIRS)
def with_index(call: Call) -> Value | list[Value]:
    """Along one axis: values, and indices at the end of a model."""
    values, indices = PAIRS[call.kind]
    x = call.value()
    if len(call.args) < 2:
        return call.to.reduce(values, call.label, x, range(1, x.rank), keep_dims=False)
    axis, keep = int(call.args[1]), bool(call.argument(2, "keepdim", False))
    found = [call.to.reduce(values, call.label, x, [axis], keep)]
    if any(reader.args[1] == 1 for reader in call.node.users):
        found.append(call.to.arg(indices, f"{call.label}/index", x, axis, keep))
    return found


@operator("argmax", "argmin")
def arg(call: Call) -> Value:
    """Along one axis, at the end of a model, with keepdim=False; int32."""
    axis = call.argument(1, "dim", None)
    if axis is None:
        call.refuse("is taken over all elements; name an axis")
    kind = ArgMax if call.kind == "argmax" else ArgMin
    return call.to.arg(kind, call.label, call.value(), int(axis), bool(call.argument(2, "keepdim", False)))


@operator("cumsum")
def cumsum(call: Call) -> Value:
    return call.to.cumsum(call.label, call.value(), int(call.args[1]))


@operator("linalg_vector_norm", "norm")
def norm(call: Call) -> Value:
    """Of order 1 or 2."""
    order = call.argument(1, "ord", 2)
    if order not in (1, 2):
        call.refuse(f"is of order {order}; driftc reads 1 and 2")
    return call.to.norm(call.label, call.value(), _axes(call, 2), bool(call.argument(3, "keepdim", False)), int(order))


@operator("prod")
def product(call: Call) -> Value:
    """Of up to 32 elements."""
    return call.to.along(
        call.label, call.value(), _axes(call, 1), bool(call.argument(2, "keepdim", False)), call.to.builder.product
    )


@operator("logsumexp")
def log_sum_exp(call: Call) -> Value:
    keep = bool(call.argument(2, "keepdim", False))
    return call.to.along(call.label, call.value(), _axes(call, 1), keep, call.to.builder.log_sum_exp)


@operator("std", "var")
def variance(call: Call) -> Value:
    """Of axes that are named."""
    axes = call.argument(1, "dim", None)
    if axes is None or isinstance(axes, bool) or axes == []:
        call.refuse("is taken over all elements; name the axes")
    correction = call.node.kwargs.get("correction", 1 if call.argument(2, "unbiased", True) else 0)
    spread = partial(call.to.builder.variance, correction=1.0 if correction is None else float(correction))
    keep = bool(call.argument(3, "keepdim", False))
    label = call.label if call.kind == "var" else f"{call.label}/variance"
    y = call.to.along(label, call.value(), _axes(call, 1), keep, spread)
    return y if call.kind == "var" else call.to.activation(call.label, y, "sqrt")


def _axes(call: Call, place: int) -> Sequence[int]:
    """All but the batch's where none are named."""
    axes = call.argument(place, "dim", None)
    if axes is None or axes == []:
        return range(1, call.value().rank)
    return [int(axes)] if isinstance(axes, int) else [int(axis) for axis in axes]
