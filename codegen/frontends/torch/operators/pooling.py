"""Pooling, over windows and to a size."""

from __future__ import annotations

from typing import Literal

from driftc.codegen.frontends.channels_first import ceil_padding
from driftc.codegen.frontends.torch.call import Call, each
from driftc.codegen.frontends.torch.walk import operator
from driftc.codegen.frontends.value import Value


@operator("max_pool1d", "max_pool2d")
def max_pool(call: Call) -> Value:
    return _pool(call, "max")


@operator("avg_pool1d", "avg_pool2d")
def average_pool(call: Call) -> Value:
    return _pool(call, "average")


def _pool(call: Call, kind: Literal["max", "average"]) -> Value:
    x = call.value()
    count = x.rank - 2
    kernel = each(call.args[1], count)
    stride = each(call.argument(2, "stride", None) or kernel, count)
    around = [(n, n) for n in each(call.argument(3, "padding", 0), count)]
    spread = call.argument(4, "dilation", 1) if kind == "max" else 1
    ceiling = call.argument(5 if kind == "max" else 4, "ceil_mode", False)
    uncounted = kind == "average" and not call.argument(5, "count_include_pad", True)
    divisor = call.argument(6, "divisor_override", None) if kind == "average" else None
    if set(each(spread, count)) != {1} or divisor or (ceiling and kind == "average"):
        call.refuse("pooling dilated, with a divisor or averaging in ceil_mode: not supported")
    if uncounted:
        return call.to.average_uncounted(call.label, x, kernel, stride, around)
    if ceiling:
        around = ceil_padding(around, x.shape[2:], kernel, stride)
    return call.to.pool(call.label, x, kind, kernel, stride, around)


@operator("adaptive_avg_pool1d", "adaptive_avg_pool2d")
def adaptive_average(call: Call) -> Value:
    return _adaptive(call, "average")


@operator("adaptive_max_pool1d", "adaptive_max_pool2d")
def adaptive_max(call: Call) -> Value:
    return _adaptive(call, "max")


def _adaptive(call: Call, kind: Literal["max", "average"]) -> Value:
    x = call.value()
    sizes = call.args[1] if isinstance(call.args[1], list | tuple) else [call.args[1]] * (x.rank - 2)
    wanted = [extent if size is None else int(size) for size, extent in zip(sizes, x.shape[2:], strict=True)]
    return call.to.adaptive(call.label, x, kind, wanted)
