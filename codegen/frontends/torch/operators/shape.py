"""What moves elements and computes nothing."""

from __future__ import annotations

import numpy as np

from driftc.codegen.frontends.torch.call import Call
from driftc.codegen.frontends.torch.walk import operator
from driftc.codegen.frontends.value import Value


@operator("_assert", "_assert_tensor_metadata", "_to_copy", "alias", "clone", "contiguous", "detach", "to")
@operator("dropout", "dropout_", "feature_dropout")
def unchanged(call: Call) -> Value:
    return call.value()


@operator("_unsafe_view", "flatten", "reshape", "squeeze", "unflatten", "unsqueeze", "view")
def reshape(call: Call) -> Value:
    return call.to.reshape(call.label, call.value(), tuple(int(n) for n in call.node.meta["val"].shape))


@operator("chunk", "split", "split_with_sizes")
def split(call: Call) -> list[Value]:
    x, axis = call.value(), int(call.argument(2, "dim", 0))
    sizes = [int(part.shape[axis]) for part in call.node.meta["val"]]
    return call.to.split(call.label, x, sizes, axis)


@operator("unbind")
def unbind(call: Call) -> list[Value]:
    x, axis = call.value(), int(call.argument(1, "dim", 0)) % call.value().rank
    parts = call.to.split(call.label, x, [1] * x.shape[axis], axis)
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return [call.to.reshape(f"{call.label}/{number}", part, shape) for number, part in enumerate(parts)]


@operator("select")
def select(call: Call) -> Value:
    return call.to.take(call.label, call.value(), np.array(int(call.args[2])), int(call.args[1]))


@operator("index_select")
def index_select(call: Call) -> Value:
    return call.to.take(call.label, call.value(), call.constant(call.args[2]), int(call.args[1]))


@operator("stack")
def stack(call: Call) -> Value:
    return call.to.stacked(
        call.label, [call.walk.value(part) for part in call.args[0]], int(call.argument(1, "dim", 0))
    )


@operator("flip")
def flip(call: Call) -> Value:
    x = call.value()
    axes = {int(axis) % x.rank for axis in call.args[1]}
    return call.to.slice(
        call.label, x, [range(n)[::-1] if axis in axes else range(n) for axis, n in enumerate(x.shape)]
    )


@operator("repeat")
def repeat(call: Call) -> Value:
    return call.to.tiled(call.label, call.value(), [int(n) for n in call.args[1]])


@operator("expand", "expand_as")
def expand(call: Call) -> Value:
    wanted = [int(n) for n in call.node.meta["val"].shape]
    x = call.to.expanded(f"{call.label}/axes", call.value(), len(wanted))
    return call.to.tiled(call.label, x, [n // m for n, m in zip(wanted, x.shape, strict=True)])


@operator("pixel_shuffle")
def pixel_shuffle(call: Call) -> Value:
    return call.to.depth_to_space(call.label, call.value(), int(call.args[1]), False)


@operator("pixel_unshuffle")
def pixel_unshuffle(call: Call) -> Value:
    return call.to.space_to_depth(call.label, call.value(), int(call.args[1]), False)


@operator("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(call: Call) -> Value:
    x, groups = call.value(), int(call.args[1])
    _, channels, rows, pixels = x.shape
    y = call.to.reshape(f"{call.label}/groups", x, (1, groups, channels // groups, rows, pixels))
    return call.to.reshape(call.label, call.to.transpose(call.label, y, (0, 2, 1, 3, 4)), x.shape)


@operator("upsample_bilinear2d")
def upsample_bilinear(call: Call) -> Value:
    corners = bool(call.args[2])
    size = call.node.meta["val"].shape[2:]
    return call.to.resize(
        call.label, call.value(), size, bilinear=True, align_corners=corners, half_pixel_centers=not corners
    )


@operator("_upsample_nearest_exact2d")
def upsample_nearest_exact(call: Call) -> Value:
    return call.to.resize(call.label, call.value(), call.node.meta["val"].shape[2:], half_pixel_centers=True)


@operator("upsample_nearest1d", "upsample_nearest2d")
def upsample_nearest(call: Call) -> Value:
    return call.to.resize(call.label, call.value(), call.node.meta["val"].shape[2:])


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
    """Constant or reflected."""
    x, amounts = call.value(), list(call.args[1])
    mode = call.argument(2, "mode", "constant") if call.kind == "pad" else "constant"
    if mode not in ("constant", "reflect"):
        call.refuse(f"padding mode '{mode}'; driftc reads 'constant' and 'reflect'")
    place = 3 if call.kind == "pad" else 2
    pairs = [(int(a), int(b)) for a, b in zip(amounts[::2], amounts[1::2], strict=True)]
    paddings = [(0, 0)] * (x.rank - len(pairs)) + pairs[::-1]
    if mode == "reflect":
        return call.to.mirrored(call.label, x, paddings, reflects=True)
    return call.to.pad(call.label, x, paddings, float(call.argument(place, "value", 0.0) or 0.0))


@operator("slice")
def cut(call: Call) -> Value:
    x = call.value()
    axis = int(call.argument(1, "dim", 0)) % x.rank
    start, end = call.argument(2, "start", None), call.argument(3, "end", None)
    ranges = [range(n) for n in x.shape]
    ranges[axis] = ranges[axis][start : end : call.argument(4, "step", 1)]
    return call.to.slice(call.label, x, ranges)


@operator("embedding")
def embedding(call: Call) -> Value:
    """Of an input of the model."""
    return call.to.look_up(call.label, call.value(1), call.constant(call.args[0]))
