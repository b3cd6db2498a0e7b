"""Pooling, over windows and to a size."""

from __future__ import annotations

from typing import Literal

from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.frontends.axes.window import ceil_padding
from driftc.codegen.frontends.builder import Pair
from driftc.codegen.frontends.torch.call import Call, each
from driftc.codegen.frontends.torch.walk import operator


@operator("max_pool1d", "max_pool2d", "max_pool2d_with_indices")
def max_pool(call: Call) -> Value:
    """The values alone."""
    if call.kind.endswith("indices") and any(reader.args[1] == 1 for reader in call.node.users):
        call.refuse("gives the places of the largest too, which driftc does not compute")
    x, kernel, stride, around = _window(call)
    spread = each(call.argument(4, "dilation", 1), len(kernel))
    if set(spread) != {1}:
        call.refuse(f"pools with dilations {spread}; driftc reads windows without dilation")
    if call.argument(5, "ceil_mode", False):
        around = ceil_padding(around, x.shape[2:], kernel, stride)
    return call.to.pool(call.label, x, "max", kernel, stride, around)


@operator("avg_pool1d", "avg_pool2d")
def average_pool(call: Call) -> Value:
    x, kernel, stride, around = _window(call)
    return call.to.average(
        call.label,
        x,
        kernel,
        stride,
        around,
        ceiling=bool(call.argument(4, "ceil_mode", False)),
        padding_counts=bool(call.argument(5, "count_include_pad", True)),
        divisor=call.argument(6, "divisor_override", None),
    )


def _window(call: Call) -> tuple[Value, list[int], list[int], list[Pair]]:
    """The input, and kernel, stride and padding of its window."""
    x = call.value()
    kernel = each(call.args[1], x.rank - 2)
    stride = each(call.argument(2, "stride", None) or kernel, x.rank - 2)
    return x, kernel, stride, [(n, n) for n in each(call.argument(3, "padding", 0), x.rank - 2)]


@operator("adaptive_avg_pool1d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d")
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
