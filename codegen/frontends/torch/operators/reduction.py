"""Reductions along axes."""

from __future__ import annotations

from driftc.codegen.frontends.torch.call import Call
from driftc.codegen.frontends.torch.walk import operator
from driftc.codegen.frontends.value import Value


@operator("mean")
def mean(call: Call) -> Value:
    axes = call.argument(1, "dim", None)
    keep = bool(call.argument(2, "keepdim", False))
    x = call.value()
    return call.to.mean(call.label, x, range(1, x.rank) if axes is None else axes, keep)
