"""What moves elements and computes nothing."""

from __future__ import annotations

from driftc.codegen.frontends.torch.call import Call
from driftc.codegen.frontends.torch.walk import operator
from driftc.codegen.frontends.value import Value


@operator("_assert", "alias", "clone", "contiguous", "detach", "dropout", "dropout_", "feature_dropout", "to")
def unchanged(call: Call) -> Value:
    return call.value()


@operator("flatten", "reshape", "squeeze", "unsqueeze", "view")
def reshape(call: Call) -> Value:
    return call.to.reshape(call.label, call.value(), (1, *(int(n) for n in call.node.meta["val"].shape[1:])))


@operator("permute")
def permute(call: Call) -> Value:
    return call.to.transpose(call.label, call.value(), call.args[1])


@operator("transpose")
def transpose(call: Call) -> Value:
    x = call.value()
    order = list(range(x.rank))
    first, second = (int(axis) % len(order) for axis in call.args[1:3])
    order[first], order[second] = second, first
    return call.to.transpose(call.label, x, order)


@operator("cat")
def cat(call: Call) -> Value:
    parts = [call.walk.value(part) for part in call.args[0]]
    return call.to.concat(call.label, parts, int(call.argument(1, "dim", 0)))


@operator("constant_pad_nd", "pad")
def pad(call: Call) -> Value:
    x, amounts = call.value(), list(call.args[1])
    mode = call.argument(2, "mode", "constant") if call.kind == "pad" else "constant"
    if mode != "constant":
        call.refuse(f"padding mode '{mode}'; driftc reads 'constant'")
    place = 3 if call.kind == "pad" else 2
    pairs = [(int(a), int(b)) for a, b in zip(amounts[::2], amounts[1::2], strict=True)]
    paddings = [(0, 0)] * (x.rank - len(pairs)) + pairs[::-1]
    return call.to.pad(call.label, x, paddings, float(call.argument(place, "value", 0.0) or 0.0))


@operator("slice")
def cut(call: Call) -> Value:
    x = call.value()
    axis = int(call.argument(1, "dim", 0)) % x.rank
    start, end = call.argument(2, "start", None), call.argument(3, "end", None)
    ranges = [range(n) for n in x.shape]
    ranges[axis] = ranges[axis][start : end : call.argument(4, "step", 1)]
    return call.to.slice(call.label, x, ranges)
